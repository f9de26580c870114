"""The library: its names, its promises on the model of a host, and on the lab."""
