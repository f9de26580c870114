"""What the administrator's Windows programs need, read from their PE headers; and whether a bundle is complete.

Source: Microsoft, "PE Format" (machine types, import and export tables). Read with pefile, which is imported only here,
and only when somebody asks: a run itself does not need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pefile

RSYNC = "rsync.exe"
VSHADOW = "vshadow.exe"
MACHINES = {0x014C: "x86", 0x8664: "x64", 0xAA64: "ARM64"}
_TABLES = ("IMPORT", "EXPORT", "DELAY_IMPORT")


class NotAProgram(Exception):
    """The bytes are no Windows program, or not a whole one; the text says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program or library: its machine (`x64`), what it imports from which library (lower case), what it exports.

    Symbols that are imported or exported by number only are left out.
    """

    machine: str
    imports: Mapping[str, frozenset[str]]
    exports: frozenset[str]


def read(data: bytes) -> Program:
    """Return what a file's headers say. Raise NotAProgram."""
    try:
        parsed = pefile.PE(data=data, fast_load=True)
        parsed.parse_data_directories([pefile.DIRECTORY_ENTRY[f"IMAGE_DIRECTORY_ENTRY_{name}"] for name in _TABLES])
    except pefile.PEFormatError as error:
        raise NotAProgram(f"is no Windows program ({error})") from None
    if any(one.PointerToRawData + one.SizeOfRawData > len(data) for one in parsed.sections):
        raise NotAProgram("is cut short")
    machine = parsed.FILE_HEADER.Machine
    imports: dict[str, frozenset[str]] = {}
    for table in ("DIRECTORY_ENTRY_IMPORT", "DIRECTORY_ENTRY_DELAY_IMPORT"):
        for library in getattr(parsed, table, ()):
            name = library.dll.decode("ascii", "replace").lower()
            imports[name] = imports.get(name, frozenset()) | _names(library.imports)
    exports = getattr(parsed, "DIRECTORY_ENTRY_EXPORT", None)
    return Program(MACHINES.get(machine, f"{machine:#06x}"), imports, _names(exports.symbols) if exports else frozenset())


def _names(symbols: object) -> frozenset[str]:
    assert isinstance(symbols, list)
    return frozenset(one.name.decode("ascii", "replace") for one in symbols if one.name)


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that was looked at: its faults, each a sentence; the machines of rsync and vshadow, "" where unknown."""

    faults: tuple[str, ...]
    rsync: str
    vshadow: str


def check(files: Mapping[str, bytes]) -> Checked:
    """Look at a bundle (file names in lower case): is each library there, of one machine, and of one build?

    Of rsync.exe's libraries those of Cygwin (`cyg*.dll`) have to be in the bundle; the others are part of Windows.
    """
    faults: list[str] = []
    programs: dict[str, Program] = {}
    for name, data in files.items():
        try:
            programs[name] = read(data)
        except NotAProgram as error:
            faults.append(f"{name} {error}")
    if RSYNC in programs:
        faults += _faults_of_libraries(programs, files)
    elif RSYNC not in files:
        faults.append(f"{RSYNC} is missing")
    machines = {name: program.machine for name, program in programs.items()}
    return Checked(tuple(faults), machines.get(RSYNC, ""), machines.get(VSHADOW, ""))


def _faults_of_libraries(programs: Mapping[str, Program], files: Mapping[str, bytes]) -> Iterator[str]:
    """Say what is wrong with all that rsync.exe needs, directly or not."""
    machine = programs[RSYNC].machine
    waiting, seen = [RSYNC], {RSYNC}
    while waiting:
        user = waiting.pop(0)
        for library, symbols in programs[user].imports.items():
            if not (library.startswith("cyg") and library.endswith(".dll")):
                continue
            if library not in files:
                yield f"{library} is missing: {user} needs it"
                continue
            if library not in programs:
                continue  # its fault was told
            found = programs[library]
            lacking = sorted(symbols - found.exports)
            if found.machine == machine and lacking:
                yield f"{library} is of another build than {user}: it has no {lacking[0]}"
            if library not in seen:
                seen.add(library)
                waiting.append(library)
                if found.machine != machine:
                    yield f"{library} is built for {found.machine}, {RSYNC} for {machine}"


def faults_on(checked: Checked, bits: int) -> list[str]:
    """Say which programs of a bundle cannot work on a Windows of so many bits (0: unknown).

    A VSS requester has to be of Windows' own kind (Microsoft, "Volume Shadow Copy Service Overview": 32-bit requesters
    on 64-bit Windows are not supported); a 32-bit rsync runs on both.
    """
    faults = []
    if bits == 64 and checked.vshadow == "x86":
        faults.append("vshadow.exe is built for x86, and the host's Windows has 64 bits")
    if bits == 32:
        wide = [name for name, one in ((RSYNC, checked.rsync), (VSHADOW, checked.vshadow)) if one not in ("", "x86")]
        faults += [f"{name} is built for 64 bits, and the host's Windows has 32" for name in wide]
    return faults
