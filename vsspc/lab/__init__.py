"""A rehearsal Windows host made of real parts on one Linux machine. Nothing else in vsspc imports it."""
