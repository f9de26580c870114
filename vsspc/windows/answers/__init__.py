"""Reading what the host wrote: outputs of jobs, lists of shadow copies, the release report. Any bytes parse, or raise
an error of ours.
"""

from vsspc.windows.answers.console import exit_code, tail, text_of
from vsspc.windows.answers.mapping import free_letters, map_failure
from vsspc.windows.answers.prepare import Surroundings, missing_volumes, prepare_failure, surroundings
from vsspc.windows.answers.release import ReleaseReport, holder_lives, release_report, requester_lives
from vsspc.windows.answers.snapshot import (
    HoldFailure,
    diskshadow_failure,
    listed_set,
    made_set,
    marker_failure,
    shadow_set,
    shadowcopy_failure,
    vshadow_failure,
)

__all__ = [
    "HoldFailure",
    "ReleaseReport",
    "Surroundings",
    "diskshadow_failure",
    "exit_code",
    "free_letters",
    "holder_lives",
    "listed_set",
    "made_set",
    "map_failure",
    "marker_failure",
    "missing_volumes",
    "prepare_failure",
    "release_report",
    "requester_lives",
    "shadow_set",
    "shadowcopy_failure",
    "surroundings",
    "tail",
    "text_of",
    "vshadow_failure",
]
