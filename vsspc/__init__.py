"""Back up Windows hosts with BackupPC, open files included, with nothing installed on them beforehand.

The names here are the library, and the only ones that are promised to stay (docs/library.md). Each is imported when it is
first asked for: `import vsspc` costs next to nothing, which matters to the commands that BackupPC calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsspc.core.deadline import Deadline
    from vsspc.core.errors import (
        AccessRefused,
        AccountLocked,
        AdminShareMissing,
        AuthRejected,
        BundleIncomplete,
        ConfigError,
        DaemonNotReady,
        DaemonNotStarted,
        DeadlineExceeded,
        EngineUnusable,
        FolderUnsafe,
        HostUnreachable,
        InternalError,
        Interrupted,
        LeaseHeld,
        LeaseTooNew,
        LeaseUnreadable,
        MappingConflict,
        NoTicket,
        PayloadBlocked,
        PortClosed,
        PortTaken,
        RemoteCommandFailed,
        RemoteFileExists,
        RemoteFileMissing,
        RemoteFolderNotEmpty,
        RestartNeeded,
        RestoreRefused,
        SecretError,
        SessionLost,
        SnapshotBusy,
        SnapshotFailed,
        SnapshotNoSpace,
        SnapshotVanished,
        StateUnusable,
        TeardownIncomplete,
        VolumeUnsupported,
        VsspcError,
        WriterFailed,
        WrongContent,
    )
    from vsspc.core.secret import Secret
    from vsspc.core.words import Lease
    from vsspc.library.cancel import Cancel
    from vsspc.library.host import Host
    from vsspc.library.snapshot import ServedCopy, Snapshot
    from vsspc.ports import (
        Clock,
        LeaseStore,
        Log,
        RemoteFile,
        RsyncClient,
        Sessions,
        SessionSecurity,
        StoppableClock,
        Transport,
        TransportFactory,
        World,
    )

__version__ = "0.1.0"

__all__ = [
    "AccessRefused",
    "AccountLocked",
    "AdminShareMissing",
    "AuthRejected",
    "BundleIncomplete",
    "Cancel",
    "Clock",
    "ConfigError",
    "DaemonNotReady",
    "DaemonNotStarted",
    "Deadline",
    "DeadlineExceeded",
    "EngineUnusable",
    "FolderUnsafe",
    "Host",
    "HostUnreachable",
    "InternalError",
    "Interrupted",
    "Lease",
    "LeaseHeld",
    "LeaseStore",
    "LeaseTooNew",
    "LeaseUnreadable",
    "Log",
    "MappingConflict",
    "NoTicket",
    "PayloadBlocked",
    "PortClosed",
    "PortTaken",
    "RemoteCommandFailed",
    "RemoteFile",
    "RemoteFileExists",
    "RemoteFileMissing",
    "RemoteFolderNotEmpty",
    "RestartNeeded",
    "RestoreRefused",
    "RsyncClient",
    "Secret",
    "SecretError",
    "ServedCopy",
    "SessionLost",
    "SessionSecurity",
    "Sessions",
    "Snapshot",
    "SnapshotBusy",
    "SnapshotFailed",
    "SnapshotNoSpace",
    "SnapshotVanished",
    "StateUnusable",
    "StoppableClock",
    "TeardownIncomplete",
    "Transport",
    "TransportFactory",
    "VolumeUnsupported",
    "VsspcError",
    "World",
    "WriterFailed",
    "WrongContent",
    "__version__",
]

_ERRORS = "vsspc.core.errors"
_HOMES = {
    "Deadline": "vsspc.core.deadline",
    "Secret": "vsspc.core.secret",  # nosec B105  # the name of a module
    "Lease": "vsspc.core.words",
    "Cancel": "vsspc.library.cancel",
    "Host": "vsspc.library.host",
    "ServedCopy": "vsspc.library.snapshot",
    "Snapshot": "vsspc.library.snapshot",
    "Clock": "vsspc.ports",
    "LeaseStore": "vsspc.ports",
    "Log": "vsspc.ports",
    "RemoteFile": "vsspc.ports",
    "RsyncClient": "vsspc.ports",
    "SessionSecurity": "vsspc.ports",
    "Sessions": "vsspc.ports",
    "StoppableClock": "vsspc.ports",
    "Transport": "vsspc.ports",
    "TransportFactory": "vsspc.ports",
    "World": "vsspc.ports",
}
"""Where a public name is that is no error."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES.get(name, _ERRORS)), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name what is public, imported or not."""
    return sorted(globals().keys() | set(__all__))
