"""Watches a run from all sides, and then looks for its secrets in everything that was there to be seen."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Self

import pytest

from tests.security.tally import note

from .capture import Capture, may_capture
from .sampler import Seen
from .spellings import Sentinel, password

PROGRAM = Path(__file__).with_name("sampler.py")
ONE_TIME_PLACES = (
    "file */server/*/session",  # while the run waits: BackupPC's side reads it there
    "file */server/*/.session.*",  # … and before it gets that name
    "file */Windows/vsspc/runs/*/rsyncd.secrets",  # on the host: rsyncd reads it there, only administrators can
    "file */top/pc/*/.rsyncdpw*",  # BackupPC itself writes it for its rsync_bpc, mode 0600, for the transfer
)
"""Where a run's one-time password belongs while the run is there."""
ACCOUNT_PLACES = ("file */credentials", "file */w/private/*", "file */w/lock/*", "file */w/nc/*")
"""Where the account's password belongs: the administrator's file; and on the host its smbd's database of accounts."""
_ONE_TIME = (
    re.compile(rb"^password=([A-Za-z0-9_-]{16,128})$", re.MULTILINE),
    re.compile(rb"^[\w.-]+:([A-Za-z0-9_-]{16,128})$", re.MULTILINE),
)


@dataclass
class Search:
    """One search: `with` it the run goes on; `knows` are the secrets, with the places where each of them belongs."""

    address: str
    folders: list[Path]
    knows: list[tuple[Sentinel, tuple[str, ...]]] = field(default_factory=list)
    texts: list[tuple[str, bytes]] = field(default_factory=list)
    seen: Seen = (0, set(), {})
    traffic: int = 0
    """Bytes that went over the network; 0 without the right to listen."""
    one_time: set[str] = field(default_factory=set)
    """The rsync passwords that were made."""
    fixed: set[str] = field(default_factory=set)
    """Those that the administrator chose: they stay where they were put."""
    at_home: set[str] = field(default_factory=set)
    """Where secrets were found that belong there: the search does find."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._capture = stack.enter_context(Capture(self.address)) if _listens() else None
            self._sampler = subprocess.Popen(
                [sys.executable, str(PROGRAM), *map(str, self.folders)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert self._sampler.stderr is not None
            assert self._sampler.stderr.readline() == b"looking\n"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        output, errors = self._sampler.communicate(b"", timeout=60)
        self._stack.close()
        assert self._sampler.returncode == 0, errors
        self.seen = pickle.loads(output)

    def say(self, name: str, text: str | bytes) -> None:
        """Add what a command said, or anything else that came of a run."""
        self.texts.append((name, text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text))

    def say_folder(self, name: str, folder: Path) -> None:
        """Add every file of a folder, such as a backup that was restored."""
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.say(f"{name} {path.relative_to(folder)}", path.read_bytes())

    def know(self, secret: Sentinel, *places: str) -> None:
        """Look for this secret, everywhere but in artefacts with names like these (as in a shell)."""
        self.knows.append((secret, places))

    def know_fixed(self, text: str, *places: str) -> None:
        """Look for this rsync password, which is no run's own: it belongs into more places."""
        self.fixed.add(text)
        self.know(password("the fixed rsync password", text), *ONE_TIME_PLACES, *places)

    def found(self) -> list[str]:
        """Return what was found where it does not belong; count it for `make security`."""
        self._learn_one_time_passwords()
        artefacts: dict[bytes, set[str]] = {}
        for name, content in self._artefacts():
            artefacts.setdefault(content, set()).add(name)
        found = []
        for content, names in artefacts.items():
            for secret, places in self.knows:
                if (spelling := secret.in_(content)) is not None:
                    home = {name for name in names if any(fnmatch(name, place) for place in places)}
                    self.at_home |= home
                    found += [f"{secret.name} ({spelling}) in {name}" for name in sorted(names - home)]
        found += self._left()
        if self._capture is not None:
            self.traffic = self._capture.bytes
        samples = self.seen[0]
        note("sentinel", found=len(found), artefacts=len(artefacts), samples=samples, traffic=self.traffic)
        return found

    def _left(self) -> list[str]:
        """Return where a one-time password still stands: it belongs there only as long as the run is there."""
        once = [secret for secret, places in self.knows if places == ONE_TIME_PLACES]
        left = []
        for path in sorted({path for path, _ in self.seen[2] if _is_one_time_place(path)}):
            content = Path(path).read_bytes() if os.path.exists(path) else b""
            left += [f"{secret.name} is still in {path}" for secret in once if secret.in_(content)]
        return left

    def _learn_one_time_passwords(self) -> None:
        for (path, _), contents in self.seen[2].items():
            if _is_one_time_place(path):
                for content in contents:
                    for form in _ONE_TIME:
                        self.one_time.update(text.decode() for text in form.findall(content))
        for number, text in enumerate(sorted(self.one_time - self.fixed)):
            self.know(password(f"one-time password {number}", text), *ONE_TIME_PLACES)

    def _artefacts(self) -> Iterable[tuple[str, bytes]]:
        _, processes, files = self.seen
        yield from self.texts
        for command, environment in processes:
            name = command.replace(b"\0", b" ").decode("utf-8", "backslashreplace")[:200]
            yield f"command line {name}", command
            yield f"environment of {name}", environment
        for (path, _), contents in files.items():
            for content in contents:
                yield f"file {path}", content
                yield f"name of {path}", os.fsencode(path)
        if self._capture is not None:
            yield from self._capture.streams.items()


def _is_one_time_place(path: str) -> bool:
    return any(fnmatch(f"file {path}", place) for place in ONE_TIME_PLACES)


def _listens() -> bool:
    """Say whether the network can be listened to. In CI it must be; elsewhere the rest is searched without it."""
    may = may_capture()
    if not may and os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail("the network can only be listened to by root, and in CI it must be")
    return may
