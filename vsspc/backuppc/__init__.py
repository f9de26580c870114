"""BackupPC's side: the settings that a host needs there, and whether it has them.

    excludes      what is not worth keeping from a Windows volume
    fragment      the settings of a host as Perl that BackupPC's web editor leaves alone: `vsspc backuppc HOST`
    installation  where this vsspc is installed
    settings      what BackupPC itself reads from its files
    files         what they, the hooks and the folders are like to this user
    userhooks     the findings about its user commands
    check         all findings: `vsspc check HOST`
    command       puts them together
"""
