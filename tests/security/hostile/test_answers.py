"""What jobs on the host wrote, made up to cost time: as long as we read (in `make test` a sixteenth of that), and read in
a moment.

Each text is one on which an earlier expression of ours, or its like, took minutes: repeated separators before something
that does not match.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.security.bounds import survive
from tests.security.tally import VARIABLE
from vsspc.core.words import Volume
from vsspc.resources.jobs import OUTPUT_LIMIT
from vsspc.windows import answers, scripts, writers
from vsspc.windows.answers import release
from vsspc.windows.storage import shadow_storage

VOLUMES = (Volume("C:"), Volume("D:"))
ROOT = b"SystemRoot=C:\\Windows\r\n"
GUID = b"{00000000-0000-0000-0000-000000000000}"

READERS: dict[str, Callable[[bytes], object]] = {
    "surroundings": lambda text: answers.surroundings(ROOT + text),
    "prepare": lambda text: answers.prepare_failure(scripts.VOLUME_MISSING, text, VOLUMES),
    "shadow_set": lambda text: answers.shadow_set(text, VOLUMES),
    "listed_set": lambda text: answers.listed_set(text[:4096], text, VOLUMES),
    "made_set": lambda text: answers.made_set(text, VOLUMES),
    "marker": lambda text: answers.marker_failure(text, VOLUMES),
    "vshadow": lambda text: (answers.vshadow_failure(1, text, VOLUMES), answers.vshadow_failure(2, text, VOLUMES)),
    "diskshadow": lambda text: answers.diskshadow_failure(2, text, VOLUMES),
    "shadowcopy": lambda text: answers.shadowcopy_failure(2, text, VOLUMES),
    "map": lambda text: answers.map_failure(1, text, scripts.Way.LINK),
    "release": lambda text: (release.release_report(text).left(), answers.still_making(text)),
    "exit_code": answers.exit_code,
    "writers": writers.failed_writers,
    "storage": shadow_storage,
    "tail": answers.tail,
}

BEGINNINGS = [
    *(b"", b"missing=", b"missing=a", b"marker=", b"marker=a", b"architecture=a", b"SystemRoot=C:", b"copy="),
    *(b"- Parameter ", b"- Parameter a", b"- Adding volume \\\\?\\Volume[a", b"invalid parameter 'C:"),
    *(b"-> add volume ", b"-> create", b"SET SHADOW_ID_1=", b"SET SHADOW_DEVICE_1=", b"HRESULT"),
    *(b"vsspc-shadowcopy: {", b"ERROR: Selected writer '", b"{", GUID, b"(C:)\\\\?\\Volume" + GUID + b"\\ "),
]
SIZE = OUTPUT_LIMIT if VARIABLE in os.environ else OUTPUT_LIMIT // 16
FILLINGS = [b" ", b"\t", b"\n", b"\r\n", b"\r", b"\x0b", b"a ", b" a", b"}", b"[", b"{", b"\\", b"\\a", b"(", b"1", b"1,", b"=", b"\xff"]


def texts(beginning: bytes) -> list[bytes]:
    """Fill up what is read of an output, with and without something behind that does not match."""
    made = []
    for filling in FILLINGS:
        filled = beginning + filling * ((SIZE - len(beginning) - 2) // len(filling))
        lines = (beginning + filling * 40 + b"!\n") * (SIZE // (len(beginning) + 42 * len(filling)))
        made += [filled, filled + b"\x00!", lines]
    return [text[:SIZE] for text in made]


@pytest.mark.parametrize("beginning", BEGINNINGS, ids=lambda text: text.decode("ascii")[:24] or "nothing")
@pytest.mark.parametrize("reader", READERS)
def test_no_output_keeps_a_reader_busy(reader: str, beginning: bytes) -> None:
    """54 texts; what takes the square of their length takes minutes for each."""

    def read_all() -> None:
        for text in texts(beginning):
            try:
                READERS[reader](text)
            except Exception as error:
                if type(error).__module__ != "vsspc.core.errors":
                    raise

    survive(read_all, seconds=30 if VARIABLE in os.environ else 2)
