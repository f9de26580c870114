"""Reading what the host wrote: outputs of jobs, lists of shadow copies, the release report. Any bytes parse, or raise
an error of ours.
"""

from vsspc.windows.answers.console import exit_code, tail, text_of
from vsspc.windows.answers.mapping import free_letters, map_failure
from vsspc.windows.answers.prepare import Surroundings, missing_volumes, prepare_failure, surroundings
from vsspc.windows.answers.release import ReleaseReport, release_report, still_making
from vsspc.windows.answers.restore import check_closed, folder_failure
from vsspc.windows.answers.snapshot import (
    HoldFailure,
    diskshadow_failure,
    listed_set,
    live_failure,
    made_set,
    marker_failure,
    shadow_set,
    shadowcopy_failure,
    vshadow_failure,
)
from vsspc.windows.answers.survey import Survey, survey_of
from vsspc.windows.answers.verify import changed, check_unchanged

__all__ = [
    "HoldFailure",
    "ReleaseReport",
    "Surroundings",
    "Survey",
    "changed",
    "check_closed",
    "check_unchanged",
    "diskshadow_failure",
    "exit_code",
    "folder_failure",
    "free_letters",
    "listed_set",
    "live_failure",
    "made_set",
    "map_failure",
    "marker_failure",
    "missing_volumes",
    "prepare_failure",
    "release_report",
    "shadow_set",
    "shadowcopy_failure",
    "still_making",
    "surroundings",
    "survey_of",
    "tail",
    "text_of",
    "vshadow_failure",
]
