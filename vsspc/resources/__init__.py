"""What a run holds on a host: each resource knows how to acquire and how to release itself."""
