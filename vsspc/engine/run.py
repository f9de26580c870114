"""A run on one host, command by command: each is a module beside this one; they, and `visit`, are built on `driver`.

A process gives one of them, so each is imported when it is given: every command would wait for all of them.
"""

from __future__ import annotations

from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Lease, Purpose
from vsspc.engine.driver import Ports

__all__ = ["HostRun", "Ports"]


class HostRun:
    """The commands on one host. A process gives one of them, once."""

    def __init__(self, settings: HostSettings, ports: Ports) -> None:
        self._settings = settings
        self._ports = ports

    def pre(self, bundle: Bundle, purpose: Purpose = Purpose.DUMP) -> Lease:
        """Take the snapshot and serve it (see Pre)."""
        from vsspc.engine.pre import Pre

        return Pre(self._settings, self._ports).run(bundle, purpose)

    def post(self, *, transfer_ok: bool, purpose: Purpose = Purpose.DUMP) -> Lease:
        """Take everything down again (see Post)."""
        from vsspc.engine.post import Post

        return Post(self._settings, self._ports).run(transfer_ok=transfer_ok, purpose=purpose)

    def restore_pre(self, share: str, bundle: Bundle) -> Lease:
        """Serve a module for writing (see Restore)."""
        from vsspc.engine.restore import Restore

        return Restore(self._settings, self._ports).run(share, bundle)

    def restore_post(self, *, transfer_ok: bool) -> Lease:
        """Take that down again (see Post)."""
        from vsspc.engine.post import Post

        return Post(self._settings, self._ports).run(transfer_ok=transfer_ok, purpose=Purpose.RESTORE)

    def sweep(self, *, also_waiting: bool = False, dismiss: bool = False) -> Lease:
        """Release what is owed (see Sweep)."""
        from vsspc.engine.sweep import Sweep

        return Sweep(self._settings, self._ports).run(also_waiting=also_waiting, dismiss=dismiss)
