"""The commands, a module for each or for each family; `vsspc.cli` imports the one that is asked for."""
