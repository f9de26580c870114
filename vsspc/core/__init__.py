"""Pure: the words, the machine, deadlines and errors. Standard library only, no I/O, no clock, no logging."""
