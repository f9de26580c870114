"""What the pictures show: each scene is played anew, on a lab host and a real BackupPC, and returns its page."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.check.six import SIX
from tests.docs.screenshots import terminal
from vsspc.lab.backuppc import FRAGMENT, SHIMS, BackupPC, adopt, caller_or_backuppc, fragment
from vsspc.lab.backuppc_cgi import Cgi
from vsspc.lab.process import LabProcess

HOST = "winbox"
VSSPC = Path(sys.executable).with_name("vsspc")
LOCKED = "Users/Ada/AppData/Local/Mail/archive.pst"
FILES = {
    LOCKED: bytes(3_000_000),
    "Users/Ada/Documents/Отчёт за год.docx": bytes(20_000),
    "ProgramData/Ledger/ledger.db": bytes(256_000),
}
_IMAGES = Path("/usr/share/backuppc/image")
"""Where Debian's BackupPC has its style sheet and logo."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A page, the words on it, and the size of the picture."""

    html: str
    words: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A lab host, a BackupPC that backs it up, and vsspc's configuration."""

    lab: LabProcess
    backuppc: BackupPC

    def typed(self, command: str, *codes: int) -> Scene:
        """Type a command of vsspc's; it must end with one of these codes."""
        return typed(command, {**os.environ, "VSSPC_CONFIG": str(self.lab.config)}, self.paths, *codes)

    @property
    def paths(self) -> dict[Path, str]:
        """Where everything is here, and where it is on a server."""
        return {
            SHIMS: "/opt/vsspc/shims",
            self.lab.config: "/etc/vsspc/vsspc.toml",
            self.lab.state / "server": "/var/lib/vsspc",
            self.lab.state: "/var/log/vsspc",
            self.backuppc.root / "top": "/var/lib/backuppc",
        }


def typed(command: str, environment: Mapping[str, str], paths: Mapping[Path, str], *codes: int) -> Scene:
    """Type a command of vsspc's; it must end with one of these codes."""
    code, shown = terminal.on_a_terminal([str(VSSPC), *command.split()[1:]], environment)
    if code not in codes:
        raise AssertionError(f"{command} ended with {code}: {shown}")
    shown = _installed(shown, paths)
    return Scene(terminal.page(command, shown), terminal.words(shown), terminal.width(), terminal.height(shown))


def _installed(text: str, paths: Mapping[Path, str]) -> str:
    """Show paths as they are on a server where vsspc is installed."""
    for here, there in paths.items():
        text = text.replace(str(here), there)
    return text


@contextmanager
def stage() -> Iterator[Stage]:
    """Set one up."""
    with tempfile.TemporaryDirectory(prefix="vsspc-scene-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with LabProcess() as lab:
            user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm"])
            adopt(lab.config, user)
            environment = {"VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(lab.config)}
            with BackupPC(folder / "backuppc", user=user, environment=environment) as backuppc:
                for file, content in FILES.items():
                    lab.volume().joinpath(file).parent.mkdir(parents=True, exist_ok=True)
                    lab.volume().joinpath(file).write_bytes(content)
                lab.lock("C:\\" + LOCKED.replace("/", "\\"))
                text = FRAGMENT.read_text("utf-8")
                state = lab.state / "server"
                backuppc.add_host(HOST, fragment(text, shims=SHIMS, state_dir=state, ClientNameAlias=lab.address))
                yield Stage(lab, backuppc)


def xferlog(on: Stage) -> Scene:
    """BackupPC's page of a dump's XferLOG, with our lines in it; its paths as on a server where vsspc is installed."""
    result = on.backuppc.dump_by_server(HOST)
    if not result.ok:
        raise AssertionError(result.xferlog)
    page = Cgi(on.backuppc).get(action="view", type="XferLOG", num=str(result.newest.number), host=HOST)
    html, words = _installed(_with_images(page.html), on.paths), _installed(page.text, on.paths)
    lines = html.partition("<pre>")[2].partition("</pre>")[0].splitlines()
    return Scene(html, words, 1180, 140 + 15 * sum(1 + len(line) // 105 for line in lines))


def _with_images(html: str) -> str:
    """Let a page of BackupPC's find its style sheet and images, which its web server would have."""
    return re.sub(r"(?<=[\"'])/backuppc/image/([\w.-]+)(?:\?[^\"']*)?(?=[\"'])", rf"file://{_IMAGES}/\1", html)


def timeline(on: Stage) -> Scene:
    """The dump's run along its time."""
    return on.typed(f"vsspc history {HOST} --timeline", 0)


def check() -> Scene:
    """A host with six faults, as README sets it up, checked."""
    with LabProcess(options=[option for one in SIX for option in one.options]) as lab:
        told = f"vsspc check {lab.name} --host {lab.address}"
        return typed(told, {**os.environ, "VSSPC_CONFIG": str(lab.config)}, {lab.config: "/etc/vsspc/vsspc.toml"}, 10)


def scenes() -> Iterator[tuple[str, Scene]]:
    """Play every scene: the name of its picture, and what is on it."""
    with stage() as good:
        yield "xferlog", xferlog(good)
        yield "timeline", timeline(good)
    yield "check", check()
