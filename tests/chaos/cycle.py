"""One cycle: a dump with a fault in it, judged; then a plain one, after which nothing may be left."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.chaos.content import wrong_in
from tests.chaos.site import PATIENCE, Command, Server, Site

READ_ENOUGH = frozenset({0, 23, 24, 25})
"""rsync's exit codes with which BackupPC calls a transfer good (some files could not be read: reference of rsync_bpc)."""
SLOW = 250
"""KiB a second: a volume takes more than a second then."""
PROMPT: dict[str, str] = {
    **dict.fromkeys(("timeouts__cleanup", "timeouts__snapshot", "timeouts__map", "timeouts__rsyncd_up"), '"3s"'),
    "timeouts__connect": '"1s"',
    "pre_timeout": '"12s"',
    "post_timeout": '"8s"',
    "teardown_reserve": '"4s"',
}
"""For faults that last until a deadline: short ones."""

Act = Callable[[], object]


class Wrong(Exception):
    """Something is not as it has to be: a `leak`, a wrong `dump` that was called good, or anything else."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what


@dataclass(slots=True)
class Dump:
    """What BackupPC saw of one dump: exit codes, None for what it did not come to."""

    pre: int
    transfer: int | None = None
    post: int | None = None

    @property
    def good(self) -> bool:
        """Whether BackupPC calls the dump good (with UserCmdCheckStatus = 1)."""
        return self.pre == 0 and self.transfer in READ_ENOUGH and self.post == 0


@dataclass(slots=True)
class Cycle:
    """What a fault works with. Everything that is drawn comes from `random`, so that the cycle can be replayed."""

    site: Site
    random: random.Random
    server: Server
    other: Server
    commands: list[Command] = field(default_factory=list)
    good: bool = False
    """Whether the dump with the fault in it was called good."""

    # What a fault does.

    def configure(self, **changes: str) -> None:
        """Change the servers' configuration (see LabProcess.configure) until the cycle ends."""
        self.server = self.site.server(self.server.folder.name, **changes)
        self.other = self.site.server(self.other.folder.name, **changes)

    def start(self, command: Command) -> Command:
        """Note a command, so that it is waited for and its output shown when something is wrong."""
        self.commands.append(command)
        return command

    def moment(self, most: float) -> float:
        """Draw a time in seconds."""
        return self.random.uniform(0.0, most)

    @contextlib.contextmanager
    def beside(self, act: Act) -> Iterator[None]:
        """Do something while the body runs; wait until it is done, and let its error be seen."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(act)
            yield
            done.result(PATIENCE)

    def dump(
        self,
        beside: Mapping[str, Act] = MappingProxyType({}),
        *,
        server: Server | None = None,
        pre_effect: str | None = None,
        post_effect: str | None = None,
        slow: bool = False,
    ) -> Dump:
        """Do what BackupPC does, with acts beside its parts (`pre`, `transfer`, `post`), and return what it saw.

        A dump that it calls good is compared at once. Raise Wrong.
        """
        server = server or self.server
        first = self.site.writer.generation
        with self.beside(beside.get("pre", _nothing)):
            dump = Dump(self.start(server.pre(pre_effect)).wait())
        last = self.site.writer.generation + 1
        if dump.pre != 0:
            return dump
        with tempfile.TemporaryDirectory(prefix="vsspc-") as name:
            with self.beside(beside.get("transfer", _nothing)):
                dump.transfer, read = self.read(server, Path(name), slow=slow)
            with self.beside(beside.get("post", _nothing)):
                dump.post = self.start(server.post(dump.transfer in READ_ENOUGH, post_effect)).wait()
            if dump.good and (why := wrong_in(read, first, last)):
                raise Wrong("dump", f"BackupPC calls the dump good, and {why}")
        return dump

    def read(self, server: Server, into: Path, *, slow: bool = False) -> tuple[int, dict[str, Path]]:
        """Transfer all volumes as BackupPC does, until one fails; return rsync's exit code, and the folders by volume."""
        session, read = server.session, {}
        rsync = shutil.which("rsync")
        if not session or rsync is None:
            return 1, {}
        for letter in ("C", "D"):
            read[letter] = into / letter
            done = subprocess.run(
                [
                    *(rsync, "-rt", "--one-file-system", "--exclude=/Windows", "--password-file=-", "--timeout=20"),
                    *((f"--bwlimit={SLOW}",) if slow else ()),
                    f"rsync://{session['user']}@{self.site.lab.address}:{session['port']}/{letter}/",
                    f"{read[letter]}/",
                ],
                input=session["password"] + "\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
            )
            if done.returncode not in READ_ENOUGH:
                return done.returncode, read
        return 0, read

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    # What is judged.

    def expect(self, code: int | None, *allowed: int, of: str) -> None:
        """An exit code must be one of these."""
        if code not in allowed:
            raise Wrong("code", f"{of} ended with {code}, not with one of {sorted(allowed)}")

    def expect_pre_then_good(self, dump: Dump, *allowed: int) -> None:
        """Pre ended with one of these codes, or with 0; then the whole dump is good."""
        self.expect(dump.pre, 0, *allowed, of="pre")
        if dump.pre == 0:
            self.expect(dump.transfer, 0, of="the transfer")
            self.expect(dump.post, 0, of="post")
        self.good = dump.good

    def expect_clean(self, when: str) -> None:
        """Nothing of ours is on the host, and all else is."""
        left = self.site.difference()
        if left:
            raise Wrong("leak", f"{when}: {left}")

    def after(self) -> None:
        """Judge what the fault left: a closed lease means a clean host; then a plain dump is good and leaves nothing."""
        self.site.lab.clear()
        for command in self.commands:
            command.wait()
        self.configure()
        if self.server.state == "closed" and self.other.state in ("none", "closed"):
            self.expect_clean("the lease is closed")
        step = self.random.choice(("", "", "sweep", "post"))
        if step == "sweep":
            sweep = ("sweep", "winbox", "--waiting", "--host", self.site.lab.address)
            self.expect(self.start(self.server.run(*sweep)).wait(), 0, of="sweep")
            self.expect_clean("after sweep")
        elif step == "post":
            self.expect(self.start(self.server.post(False)).wait(), 0, of="the next post")
        self.plain(self.server)
        if self.other.state == "owing":
            self.plain(self.other)

    def plain(self, server: Server) -> None:
        """A dump without a fault."""
        dump = self.dump(server=server)
        for code, part in ((dump.pre, "pre"), (dump.transfer, "transfer"), (dump.post, "post")):
            self.expect(code, 0, of=f"the {part} of the plain dump that follows")
        self.expect_clean("after the plain dump")
        for each in (self.server, self.other):
            if each.secrets_left():
                raise Wrong("leak", f"on the server: {each.secrets_left()}")

    def outputs(self) -> str:
        """What all commands said."""
        return "".join(f"--- {each.name}: {each.code}\n{each.output}" for each in self.commands)


def _nothing() -> None:
    return
