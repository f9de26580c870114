"""`vsspc deploy HOST`: bring the administrator's bundle into the store on a host, or take the store away.

The bundle is checked on this server first. Then the host is ours as in a run; only what its store has not is uploaded,
and everything is verified there, by content, before a run may use it (vsspc.resources.store).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vsspc import wiring
from vsspc.adapters import serverfiles
from vsspc.core.errors import BundleIncomplete, RemoteCommandFailed
from vsspc.core.settings import Bundle
from vsspc.engine.visit import Visit
from vsspc.log import say
from vsspc.resources import runfolder, store
from vsspc.resources.site import Site
from vsspc.resources.store import Upload
from vsspc.terminal import Verbosity
from vsspc.windows import pe

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


def run(
    config_path: str | None,
    sets: Sequence[str],
    host: str,
    address: str | None,
    *,
    folder: Path | None,
    remove: bool,
    out: TextIO,
    verbosity: Verbosity = Verbosity.NORMAL,
) -> None:
    """Deploy the bundle in `folder` (None: the configured one), or with `remove` take the store away; say so on `out`.

    `address` is where the host is reached; without it, where its lease says, or else by its name. Raise an error of the
    catalogue: BundleIncomplete, before the host is touched, for a bundle that cannot work.
    """
    config = wiring.load_host(config_path, sets, host)
    log = wiring.host_log(config, "deploy", verbosity=verbosity)
    bundle = Bundle({}) if remove else serverfiles.bundle(folder) if folder else wiring.host_bundle(config)
    checked = None if remove else check(bundle)
    if address is None:
        address = wiring.known_address(config)
    with wiring.recorded(config, log, "deploy") as recorder, wiring.host_visit(config, address, recorder) as visit:
        if checked is None:
            there = take_away(visit)
            say(out, f"vsspc: the bundle {'was removed from' if there else 'is not on'} {host}")
            return
        progress = Progress(out)
        try:
            bring(visit, bundle, checked, progress)
            progress.close(whole=True)
        finally:
            progress.close(whole=False)
    count, size = len(bundle.files), sum(map(len, bundle.files.values()))
    say(out, f"vsspc: the bundle is on {host}: {count} files, {size} bytes, verified; {progress.sent} bytes were uploaded")


def check(bundle: Bundle) -> pe.Checked:
    """Look at the bundle on this server. Raise BundleIncomplete, which names all that is wrong."""
    checked = pe.check(bundle.files)
    if checked.faults:
        raise BundleIncomplete(
            f"the bundle is not in order: {'; '.join(checked.faults)}",
            advice="Put the whole set of one build into it; docs/bundle.md says where it comes from.",
        )
    return checked


def bring(visit: Visit, bundle: Bundle, checked: pe.Checked, told: store.Told) -> None:
    """Bring the bundle into the host's store, and verify it there.

    Raise BundleIncomplete when a program is not for the host's Windows, RemoteCommandFailed for what did not verify.
    """

    def work(site: Site, run: str) -> None:
        seen = runfolder.make(site, run, ())
        if faults := pe.faults_on(checked, seen.bits):
            raise BundleIncomplete("; ".join(faults), advice="Deploy a bundle for this Windows (--bundle DIR).")
        staged = store.provide(site, run, told)
        if len(staged) < len(bundle.files):
            raise RemoteCommandFailed(
                f"{len(bundle.files) - len(staged)} of {len(bundle.files)} files did not verify on the host",
                advice="Does its antivirus hold them back? The log names them (store.refused, store.spoiled).",
            )

    visit.run("deploy", work, bundle)


def take_away(visit: Visit) -> bool:
    """Delete the host's store; say whether there was one."""
    there = False

    def work(site: Site, run: str) -> None:
        nonlocal there
        there = store.remove(site)

    visit.run("deploy", work, Bundle({}))
    return there


class Progress:
    """Shows uploads: a bar on a terminal, a line for each file elsewhere. `sent` counts bytes."""

    def __init__(self, out: TextIO) -> None:
        self.sent = 0
        self._out = out
        self._bar: ProgressBar[int] | None = None

    def __call__(self, upload: Upload) -> None:
        """Show that a file is about to be sent."""
        self.sent += upload.size
        if not self._out.isatty():
            say(self._out, f"vsspc: uploading {upload.name}, {upload.size} bytes")
            return
        if self._bar is None or upload.sent == 0:
            self.close(whole=True)
            self._bar = click.progressbar(length=upload.total, file=self._out, show_pos=True)
        self._bar.label = f"uploading {upload.name}"[:32].ljust(32)
        self._move(self._bar, upload.sent)

    @staticmethod
    def _move(bar: ProgressBar[int], to: int) -> None:
        bar.update(to - bar.pos)
        bar.render_progress()

    def close(self, *, whole: bool) -> None:
        """Give the terminal back; `whole`: everything was sent."""
        if self._bar is not None:
            if whole:
                self._move(self._bar, self._bar.length or 0)
            self._bar.render_finish()
            self._bar = None
