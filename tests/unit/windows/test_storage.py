"""Shadow storage figures from vssadmin, in any language, and the message that they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.core.errors import Again, SnapshotNoSpace
from vsspc.core.words import Volume
from vsspc.windows.scripts.storage import storage
from vsspc.windows.storage import ShadowStorage, no_space, shadow_storage

C = r"(C:)\\?\Volume{bac86217-0fb1-4a10-8520-482676e08191}" + "\\"
D = r"(D:)\\?\Volume{cac86217-0fb1-4a10-8520-482676e08191}" + "\\"
NAMELESS = r"\\?\Volume{dac86217-0fb1-4a10-8520-482676e08191}" + "\\"


def listing(labels: tuple[str, str, str, str, str], figures: tuple[str, str, str], volume: str, on: str) -> str:
    lines = [f"   {label} {value}" for label, value in zip(labels, (volume, on, *figures), strict=True)]
    return "\r\n".join(["Shadow Copy Storage association", *lines, "", ""])


HEAD = "vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool\r\n(C) Copyright 2001-2013 Microsoft Corp.\r\n\r\n"
ENGLISH = (
    "For volume:",
    "Shadow Copy Storage volume:",
    "Used Shadow Copy Storage space:",
    "Allocated Shadow Copy Storage space:",
    "Maximum Shadow Copy Storage space:",
)
GERMAN = (
    "Für Volume:",
    "Schattenkopie-Speichervolume:",
    "Verwendeter Schattenkopie-Speicherbereich:",
    "Zugewiesener Schattenkopie-Speicherbereich:",
    "Maximaler Schattenkopie-Speicherbereich:",
)
JAPANESE = ("ボリューム:", "シャドウ コピーの記憶域ボリューム:", "使用:", "割り当て:", "最大:")


@pytest.mark.parametrize(
    ("labels", "encoding", "figures", "read"),
    [
        (ENGLISH, "ascii", ("0 bytes (0%)", "320 MB (1%)", "3.00 GB (10%)"), ("0 bytes (0%)", "320 MB (1%)", "3.00 GB (10%)")),
        (ENGLISH, "ascii", ("1.335 GB", "1.539 GB", "UNBOUNDED"), ("1.335 GB", "1.539 GB", "?")),
        (GERMAN, "cp850", ("0 Byte (0 %)", "320 MB (1 %)", "UNBEGRENZT (100%)"), ("0 Byte (0 %)", "320 MB (1 %)", "(100%)")),
        (JAPANESE, "cp932", ("0 バイト (0%)", "320 MB (1%)", "無制限 (100%)"), ("0 (0%)", "320 MB (1%)", "(100%)")),
    ],
    ids=["english", "vista", "german", "japanese"],
)
def test_the_figures_are_read_in_any_language(
    labels: tuple[str, str, str, str, str], encoding: str, figures: tuple[str, str, str], read: tuple[str, str, str]
) -> None:
    text = HEAD + listing(labels, figures, C, D) + listing(labels, figures, NAMELESS, NAMELESS)
    nameless = "{dac86217-0fb1-4a10-8520-482676e08191}"
    assert shadow_storage(text.encode(encoding)) == (
        ShadowStorage("C:", "D:", *read),
        ShadowStorage(nameless, nameless, *read),
    )


def test_the_message_has_the_figures_of_our_volumes_and_the_command_for_each() -> None:
    error = SnapshotNoSpace("there is not enough shadow storage", again=Again(2))
    figures = ("2.9 GB (9%)", "3.00 GB (10%)", "3.00 GB (10%)")
    told = no_space(error, [ShadowStorage("C:", "D:", *figures), ShadowStorage("E:", "E:", *figures)], [Volume("C:")])
    assert told.line() == (
        "there is not enough shadow storage; shadow storage of C: on D: has 2.9 GB (9%) used, 3.00 GB (10%) allocated,"
        " 3.00 GB (10%) at most. Make room on the host, for example:"
        " `vssadmin resize shadowstorage /for=C: /on=D: /maxsize=20%`."
    )
    assert told.again == error.again


def test_without_figures_the_message_stays() -> None:
    error = SnapshotNoSpace("there is not enough shadow storage")
    assert no_space(error, [], [Volume("C:")]) is error


def test_the_job_asks_for_nothing_else() -> None:
    assert r'"%SystemRoot%\System32\vssadmin.exe" list shadowstorage' in storage().splitlines()


@given(st.binary(), st.lists(st.sampled_from([C, D, "1 GB (1%)", "x" * 99, "\r\n", "(", "%)"])))
def test_any_bytes_are_read(noise: bytes, parts: list[str]) -> None:
    for output in (noise, "".join(parts).encode(), "".join(parts).encode() + noise):
        assert all(one.line().isprintable() for one in shadow_storage(output))
