"""The history of a host, shown: in words, as data, as a timeline for the terminal and as SVG, as metrics. No I/O here."""
