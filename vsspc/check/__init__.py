"""`vsspc check`: walks what a run needs of a host, point by point, and says what would mend what is not in order.

    walk        the order: a point that needs another one is not asked when that one failed
    server      what lies on this server: the bundle
    reach       name, port, and what SMB says before anybody logs on
    access      logon, rights, ADMIN$, the service manager, our folder, what earlier runs left
    program     our service: made, started, and not eaten by a guard
    windows     what the host's own programs tell: volumes, letters, PowerShell, engine, writers, shadow storage
    transfer    rsync's port, from this server's side
    host        one host, all points, with real ports
    mend        what `--mend` mends
    many        many hosts at once
"""
