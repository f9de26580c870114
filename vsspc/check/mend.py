"""What `--mend` mends without being asked again: our own things on the host. Nothing of the administrator's is touched.

Policies, shares, services, the bundle and BackupPC's settings belong to somebody: for those the report has the line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from vsspc import wiring
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon
from vsspc.adapters.stages import StagedFactory
from vsspc.config.host import HostConfig
from vsspc.core.deadline import Deadline
from vsspc.core.errors import LeaseHeld
from vsspc.core.findings import Finding, Level
from vsspc.core.settings import Bundle
from vsspc.core.words import State
from vsspc.log import open_log
from vsspc.windows.names import HOME

MENDABLE = ("our folder", "leftovers")


def wanted(found: Sequence[Finding]) -> list[str]:
    """Return the points of a report that can be mended here."""
    return [one.point for one in found if one.point in MENDABLE and one.level in (Level.FAILED, Level.WARNING)]


def mend(config: HostConfig, address: str | None, points: Sequence[str]) -> None:
    """Mend these points of a host. Raise the first error: what could not be mended stays as it is."""
    address = address or wiring.known_address(config)
    if "our folder" in points:
        _remove_folder(config, address)
    if "leftovers" in points:
        with (
            open(os.devnull, "w", encoding="utf-8") as nobody,
            wiring.host_visit(config, address, open_log(config.log_file, nobody, host=config.host, command="check")) as visit,
        ):
            # Every visit first settles what earlier runs left; this one does nothing else.
            visit.run("check", lambda site, run: None, Bundle({}))


def _remove_folder(config: HostConfig, address: str) -> None:
    r"""Delete %SystemRoot%\vsspc, which others than administrators could write to. Raise LeaseHeld while a run is there."""
    host, state, clock = config.host, wiring.state_files(config), SystemClock()
    settings = wiring.host_settings(config, address)
    with state.lock(host, "check", 0.0):
        lease = state.load(host)
        if lease is not None and lease.state is State.WAIT:
            raise LeaseHeld(f"run {lease.run} waits for its post: its folder is not touched").at(host=host)
        factory = StagedFactory(settings, logon(config.logon, os.environ), clock)
        try:
            transport = factory.open(Deadline.after(clock.now(), settings.timeouts["connect"], "timeouts.connect"))
            try:
                with transport.until(Deadline.after(clock.now(), settings.timeouts["cleanup"], "timeouts.cleanup")):
                    transport.delete_tree(HOME)
            finally:
                transport.close()
        finally:
            factory.forget()
            clock.close()
