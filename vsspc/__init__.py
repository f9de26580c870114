"""Back up Windows hosts with BackupPC, open files included, with nothing installed on them beforehand."""

__version__ = "0.1.0"
