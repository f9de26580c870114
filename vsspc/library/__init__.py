"""vsspc as a library: a host's shadow copies for any Python program. `import vsspc` has all of it (docs/library.md).

    host      Host: `pre`, `post`, and `snapshot`, a context manager from one to the other
    snapshot  Snapshot: what is served, under which rsync URLs, and the environment for a command that reads it
    cancel    Cancel: ends it from another thread or a signal handler
"""
