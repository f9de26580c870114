r"""The command scripts of a run, as text. Nothing here is executed on this server.

House rules for the language, so that the scripts mean the same in every Windows and in Wine's cmd:
ASCII, CRLF, lines under 8191 characters; no `&&` or `||` and no exit code of `call FILE` (Wine gets both wrong); no
`timeout` (refuses a redirected stdin), so `ping` to the loopback address is the sleep; system programs by their full
path; nothing depends on words that Windows translates, only on exit codes, files and numbers.

What comes from outside never reaches these texts: volumes, drive letters, device names, ports, addresses and run ids
are checked by their types before they get here.
"""

from vsspc.windows.scripts.engines import (
    Making,
    discard,
    diskshadow,
    diskshadow_script,
    live,
    shadowcopy,
    shadowcopy_order,
    vshadow,
)
from vsspc.windows.scripts.hold import TICK_SECONDS, held, hold, release, settle
from vsspc.windows.scripts.language import (
    ACL_FAILED,
    CERTUTIL_MISSING,
    DEFINE_FAILED,
    FILE_CHANGED,
    FOLDER_FAILED,
    FOLDER_IS_LINK,
    FOLDER_IS_OPEN,
    MARKER_FAILED,
    NO_WRITERS_SWITCH,
    NOT_MAPPED,
    RULE_FAILED,
    VOLUME_MISSING,
    arguments_for,
)
from vsspc.windows.scripts.mapping import Way, device_order, map_job, raw, unmap
from vsspc.windows.scripts.prepare import prepare
from vsspc.windows.scripts.restore import OURS, PARENT, TARGET, restoring
from vsspc.windows.scripts.serve import FSTAB, serve
from vsspc.windows.scripts.stage import ARRIVALS, keep, stage
from vsspc.windows.scripts.storage import storage
from vsspc.windows.scripts.survey import survey, writers

__all__ = [
    "ACL_FAILED",
    "ARRIVALS",
    "CERTUTIL_MISSING",
    "DEFINE_FAILED",
    "FILE_CHANGED",
    "FOLDER_FAILED",
    "FOLDER_IS_LINK",
    "FOLDER_IS_OPEN",
    "FSTAB",
    "MARKER_FAILED",
    "NOT_MAPPED",
    "NO_WRITERS_SWITCH",
    "OURS",
    "PARENT",
    "RULE_FAILED",
    "TARGET",
    "TICK_SECONDS",
    "VOLUME_MISSING",
    "Making",
    "Way",
    "arguments_for",
    "device_order",
    "discard",
    "diskshadow",
    "diskshadow_script",
    "held",
    "hold",
    "keep",
    "live",
    "map_job",
    "prepare",
    "raw",
    "release",
    "restoring",
    "serve",
    "settle",
    "shadowcopy",
    "shadowcopy_order",
    "stage",
    "storage",
    "survey",
    "unmap",
    "vshadow",
    "writers",
]
