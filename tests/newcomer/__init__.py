"""What README tells a newcomer to do, done word for word in a clean clone, timed: `make newcomer`.

    readme    its commands, as they stand there
    journey   a clean clone, a terminal or two, a clock
"""
