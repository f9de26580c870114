"""The driver of the machine, its retry policy and its teardown."""
