"""What the job `survey` told: numbers, and words of ours and of .NET's, which nobody translates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vsspc.core.words import RUN_ID
from vsspc.windows.answers.console import text_of
from vsspc.windows.scripts.survey import ASR_RULE, SECTIONS, TOKEN_FILTER_VALUE

_SECTION = re.compile(r"^section=([a-z]+)[ \t]*\r?$", re.MULTILINE)
_LANGUAGE = re.compile(r"^language=([A-Za-z]{1,40})[ \t]*\r?$", re.MULTILINE)
_MARKER = re.compile(rf"^vsspc-({RUN_ID.pattern})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_MOST = 20


@dataclass(frozen=True, slots=True)
class Survey:
    """`token_filter` and `asr` are the values of the registry, None where there is none; `language` is PowerShell's mode,
    empty where it does not tell; `markers` are the runs whose folders lie in a volume's root. `whole`: nothing is missing.
    """

    token_filter: int | None
    asr: int | None
    language: str
    markers: tuple[str, ...]
    whole: bool


def survey_of(output: bytes) -> Survey:
    """Read the output of the job. Any bytes are read."""
    text = text_of(output)
    parts = _SECTION.split(text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    language = _LANGUAGE.search(sections.get("language", ""))
    markers = dict.fromkeys(run.lower() for run in _MARKER.findall(sections.get("markers", "")))
    return Survey(
        _value(sections.get("filter", ""), TOKEN_FILTER_VALUE),
        _value(sections.get("asr", ""), ASR_RULE),
        language[1] if language else "",
        tuple(markers)[:_MOST],
        all(name in sections for name in SECTIONS),
    )


def _value(text: str, name: str) -> int | None:
    """Return a number out of what reg.exe prints: `    NAME    REG_DWORD    0x1`, or a rule's `REG_SZ    1`."""
    found = re.search(rf"^[ \t]+{re.escape(name)}[ \t]+REG_[A-Z_]+[ \t]+(0x[0-9a-f]{{1,8}}|\d{{1,9}})[ \t]*\r?$", text, re.MULTILINE | re.IGNORECASE)
    return int(found[1], 0 if found[1].lower().startswith("0x") else 10) if found else None
