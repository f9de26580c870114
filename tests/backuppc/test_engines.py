"""Each engine through a real BackupPC: a full and an incremental of two volumes, byte for byte, and nothing left.

The files of both volumes change all the time, some of them locked: what a dump holds must be of one generation, from
while pre ran, although the live files were others by the time of the transfer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.content import CHANGING, CONSTANT, Writer, content, files
from tests.faults.conftest import CONTENT, HOST, Rehearsal, RehearsalFactory
from vsspc.lab.backuppc import SHIMS, DumpResult

LETTERS = ("C:", "D:")
Files = dict[str, bytes]


@dataclass
class Span:
    """The generations that were written while pre ran: from before it was called until its session was there."""

    first: int
    last: int = -1
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def until_the_session(self, site: Rehearsal, writer: Writer) -> Iterator[None]:
        """Watch for the session while something goes on."""

        def watch() -> None:
            session = site.state_dir / HOST / "session"
            while not session.exists() and not self._over.wait(0.005):
                pass
            self.last = writer.generation

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


class Dumped:
    """One host with two volumes, dumped again and again."""

    def __init__(self, site: Rehearsal, writer: Writer, into: Path) -> None:
        self.site = site
        self.writer = writer
        self.wanted: dict[str, Files] = {letter: dict(CONSTANT) for letter in LETTERS}
        self.wanted["C:"] |= CONTENT
        self._into = into
        for letter in LETTERS:
            self.put(letter, "Ünïcode 日本/grows.bin", letter.encode() * 1000)
            self.put(letter, "Projects/goes.txt", b"in the full only")
            self.put(letter, "locked.bin", letter.encode() * 4321)
            site.lab.lock(f"{letter}\\locked.bin")

    def put(self, letter: str, name: str, data: bytes) -> None:
        """Place a file, or change it."""
        file = self.site.lab.volume(letter) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self.wanted[letter][name] = data

    def a_day_passes(self) -> None:
        """Of both volumes one file changes, one appears and one goes; a locked one changes, too."""
        for letter in LETTERS:
            self.put(letter, "Ünïcode 日本/grows.bin", letter.encode() * 9000)
            self.put(letter, "Projects/new/appears.txt", b"in the incremental only")
            (self.site.lab.volume(letter) / "Projects/goes.txt").unlink()
            del self.wanted[letter]["Projects/goes.txt"]
            self.site.lab.unlock(f"{letter}\\locked.bin")
            self.put(letter, "locked.bin", letter.encode() * 1234)
            self.site.lab.lock(f"{letter}\\locked.bin")

    def dump(self, kind: str, *, one_instant: bool) -> DumpResult:
        """Dump with BackupPC_dump, and compare every byte."""
        span = Span(self.writer.generation)
        with span.until_the_session(self.site, self.writer):
            result = self.site.dump(full=kind == "full")
        assert result.ok, result.xferlog + result.pc_log
        assert (result.newest.type, result.newest.transfer_errors) == (kind, 0), result.xferlog
        assert span.last < self.writer.generation, "the live files are others by now"
        generations = [self._compare(letter, self.kept(result.newest.number, letter, kind)) for letter in LETTERS]
        assert span.first <= min(generations) <= max(generations) <= span.last
        if one_instant:
            assert len(set(generations)) == 1, "both volumes are of one instant"
        self.site.assert_clean()
        return result

    def kept(self, number: int, letter: str, folder: str) -> Files:
        """Return what BackupPC keeps of a volume."""
        into = self._into / folder / letter[0]
        self.site.backuppc.extract(HOST, number, letter[0], into)
        return files(into)

    def _compare(self, letter: str, found: Mapping[str, bytes]) -> int:
        """See that a volume's files are as they should be; return the generation of those that change all the time."""
        constant = {name: data for name, data in found.items() if name not in CHANGING}
        assert constant.keys() == self.wanted[letter].keys()
        assert [name for name in constant if constant[name] != self.wanted[letter][name]] == []
        seen = set()
        for name in CHANGING:
            assert re.match(rb"[0-9]{10} ", found[name])
            generation = int(found[name][:10])
            assert found[name] == content(name, generation), f"{letter} {name} is torn"
            seen.add(generation)
        assert len(seen) == 1, f"the files of {letter} are of several instants"
        return seen.pop()


@pytest.mark.parametrize(
    ("engine", "mapping", "language"),
    [
        ("vshadow", "letter", "english"),
        ("diskshadow", "letter", "english"),
        ("wmi", "letter", "english"),
        pytest.param("vshadow", "link", "english", marks=pytest.mark.shows("links in place of letters")),
        *(
            pytest.param(engine, "auto", "german", marks=pytest.mark.shows("German Windows"))
            for engine in ("vshadow", "diskshadow", "wmi")
        ),
        pytest.param("wmi", "auto", "japanese", marks=pytest.mark.shows("Japanese Windows")),
    ],
)
@pytest.mark.shows("full and incremental of two volumes")
def test_full_and_incremental_of_two_volumes_byte_for_byte(
    rehearsal_factory: RehearsalFactory, tmp_path: Path, engine: str, mapping: str, language: str
) -> None:
    site = rehearsal_factory(volumes=LETTERS, options=("--language", language))
    pre = f"{SHIMS}/vsspc-pre --client $client --host $hostIP --type $type --set engine={engine} --set mapping={mapping}"
    site.set_address(site.lab.address, RsyncShareName=["C", "D"], DumpPreUserCmd=pre)
    with Writer(site.lab, LETTERS) as writer:
        dumped = Dumped(site, writer, tmp_path)
        full = dumped.dump("full", one_instant=engine != "wmi")
        kept = {letter: dumped.kept(full.newest.number, letter, "as dumped") for letter in LETTERS}
        assert f"shadow copies by {engine}" in full.xferlog
        assert ("NOT of one instant" in full.xferlog) == (engine == "wmi")
        assert bool(site.lab.events.all("letter-defined")) == (mapping != "link")
        dumped.a_day_passes()
        dumped.dump("incr", one_instant=engine != "wmi")
        again = {letter: dumped.kept(full.newest.number, letter, "again") for letter in LETTERS}
        assert again == kept, "the incremental left the full as it was"
