"""Which engine makes the shadow copies: the one that the settings name, or the best that host and bundle have."""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.errors import BundleIncomplete, EngineUnusable, VsspcError
from vsspc.core.settings import Bundle, HostSettings
from vsspc.resources.engines.diskshadow import Diskshadow
from vsspc.resources.engines.engine import Engine
from vsspc.resources.engines.vshadow import Vshadow
from vsspc.resources.engines.wmi import Wmi
from vsspc.windows.answers import Surroundings

_BITS = {0x014C: 32, 0x8664: 64, 0xAA64: 64}
"""IMAGE_FILE_MACHINE_I386, _AMD64 and _ARM64 (Microsoft, "PE Format", Machine Types)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, and why it is this one."""

    engine: Engine
    why: str


def choose(settings: HostSettings, bundle: Bundle, seen: Surroundings) -> list[Choice]:
    """Return the engines to try, the best first; more than one only for `auto`. Raise the error of a named one."""
    against: dict[str, VsspcError | None] = {
        "vshadow": _against_vshadow(bundle, seen),
        "diskshadow": _against_diskshadow(seen),
        "wmi": None,
    }
    engines: dict[str, Engine] = {"vshadow": Vshadow(), "diskshadow": Diskshadow(), "wmi": Wmi()}
    if settings.engine != "auto":
        if (error := against[settings.engine]) is not None:
            raise error
        return [Choice(engines[settings.engine], "the settings name it")]
    choices, lacking = [], ""
    for name, engine in engines.items():
        error = against[name]
        if error is not None:
            lacking += f"{error.message}; "
        else:
            choices.append(Choice(engine, f"{lacking}{_FOR[name]}"))
    return choices


_FOR = {
    "vshadow": "the bundle has vshadow.exe for this Windows",
    "diskshadow": "this Windows has diskshadow.exe",
    "wmi": "every Windows has Win32_ShadowCopy",
}


def _against_vshadow(bundle: Bundle, seen: Surroundings) -> VsspcError | None:
    program = bundle.files.get("vshadow.exe")
    if program is None:
        return BundleIncomplete("the bundle has no vshadow.exe", advice='Add it, or set `engine` to "auto" or "wmi".')
    bits = program_bits(program)
    if bits and seen.bits and bits != seen.bits:
        # "32-bit requesters on 64-bit Windows are not supported" (Microsoft, "Volume Shadow Copy Service Overview").
        return EngineUnusable(
            f"the bundle's vshadow.exe is a {bits}-bit program and the host's Windows has {seen.bits} bits",
            advice=f'Put the {seen.bits}-bit vshadow.exe into the bundle, or set `engine` to "auto" or "wmi".',
        )
    return None


def _against_diskshadow(seen: Surroundings) -> VsspcError | None:
    if seen.has_diskshadow:
        return None
    return EngineUnusable(
        "the host has no diskshadow.exe",
        advice='Only Windows Server has it; set `engine` to "auto", "vshadow" or "wmi" for this host.',
    )


def program_bits(program: bytes) -> int:
    """Return for which Windows a program was built: 64 or 32 bits; 0 when its PE header cannot be read.

    Source: Microsoft, "PE Format": the header's offset stands at 0x3c, the machine follows its signature.
    """
    at = int.from_bytes(program[0x3C:0x40], "little")
    if program[:2] != b"MZ" or program[at : at + 4] != b"PE\0\0":
        return 0
    return _BITS.get(int.from_bytes(program[at + 4 : at + 6], "little"), 0)
