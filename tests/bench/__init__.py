"""`make bench`: how much time, memory and how many round trips vsspc takes beside what Windows itself needs.

A benchmark, not a test: it measures with the clock. docs/speed.md says how, and what came of it.
"""
