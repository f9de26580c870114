"""The rsync client on the model: it reads what the model's daemon serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.fakes.programs import windows_path
from tests.fakes.tree import Tree
from vsspc.core.deadline import Deadline
from vsspc.core.errors import DaemonNotReady, WrongContent
from vsspc.core.words import Volume

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

LOCAL_ADDRESS = "127.0.0.1"


class FakeRsync:
    """`vsspc.ports.RsyncClient`."""

    def __init__(self, host: Windows) -> None:
        self.host = host

    def fetch(
        self, *, address: str, port: int, module: str, user: str, password: str, folder: str, deadline: Deadline
    ) -> Mapping[str, bytes]:
        """Return the files of a folder of a module, or of the whole module for ""."""
        host = self.host
        host.tick()
        daemon = next((one for one in host.daemons if one.port == port), None)
        if daemon is None or (host.firewall and not self._let_through(port, daemon.process.image)):
            raise DaemonNotReady("nothing answers")
        settings = daemon.modules.get(module)
        if settings is None or settings["hosts allow"] != LOCAL_ADDRESS:
            raise WrongContent(f"Unknown module '{module}'")
        secrets = (host.read(windows_path(settings["secrets file"])) or b"").decode("ascii")
        if settings["auth users"] != user or f"{user}:{password}\n" not in secrets.splitlines(keepends=True):
            raise WrongContent(f"auth failed on module {module}")
        if host.serves == "nothing":
            return {}
        if host.serves == "live":
            tree: Tree | None = next(tree for name, tree in host.volumes.items() if Volume(name).module == module)
        else:
            tree = host.tree_at(windows_path(settings["path"]))
        if tree is None:
            raise WrongContent("chdir failed")
        head = f"{folder}\\" if folder else ""
        return {name.replace("\\", "/"): data for name, data in tree.files.items() if name.startswith(head)}

    def _let_through(self, port: int, image: str) -> bool:
        return any(
            rule.get("localport") == str(port)
            and rule.get("remoteip") == LOCAL_ADDRESS
            and rule.get("program", "").replace("%SystemRoot%", "C:\\Windows") == image
            for rule in self.host.rules.values()
        )
