"""Every name that a run leaves on a host. All of them carry the run's id, so each belongs to exactly one run.

Paths without a drive are relative to %SystemRoot%, which is what ADMIN$ shares: only administrators can write there.
"""

from __future__ import annotations

from dataclasses import dataclass

HOME = "vsspc"
OWNER_FILE = rf"{HOME}\owner.json"
RUNS = rf"{HOME}\runs"
STORE = rf"{HOME}\bundle"
MANIFEST = rf"{STORE}\manifest.json"

RELEASE_REPORT = "release.txt"
HELD = "held"
STOP = "stop"
STOPPING = "stopping"
SETVAR = "setvar.cmd"
COPY_IDS = "copies.txt"
DEVICES = "devices.txt"
SECRETS = "rsyncd.secrets"
DAEMON_LOG = "rsyncd.log"
BEFORE = "before.txt"
AFTER = "after.txt"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one run, by its id."""

    run: str

    @property
    def folder(self) -> str:
        """The run's folder, where everything of the run lies."""
        return rf"{RUNS}\{self.run}"

    def path(self, name: str) -> str:
        """A file of the run's folder, for the transport."""
        return rf"{self.folder}\{name}"

    def full(self, name: str) -> str:
        """The same file as our scripts write it; cmd expands %SystemRoot%."""
        return rf"%SystemRoot%\{self.folder}\{name}"

    @property
    def daemon_image(self) -> str:
        """The bundle's rsync.exe under a name that no other process has: it can be ended by its image name."""
        return f"vsspc-{self.run}.exe"

    @property
    def requester_image(self) -> str:
        """The bundle's vshadow.exe, likewise."""
        return f"vshadow-{self.run}.exe"

    @property
    def rule(self) -> str:
        """The firewall rule."""
        return f"vsspc-{self.run}"

    @property
    def marker_folder(self) -> str:
        """The folder in each volume's root that holds the markers of the proof of content."""
        return f"vsspc-{self.run}"

    def marker(self, volume: str, file: str) -> str:
        r"""A file of that folder: `C:\vsspc-ID\before.txt`. The volume's name is as `Volume` has it."""
        return rf"{volume}\{self.marker_folder}\{file}"

    def link(self, volume: str) -> str:
        """The directory link to the volume's shadow copy, where there is one: it lies on the volume itself."""
        return self.marker(volume, "vol")

    def service(self, suffix: str) -> str:
        """A name for PAExec's service, and with `.exe` for its program: unlike for each session of the run."""
        return f"vsspc-{self.run}-{suffix}"


def cygwin_path(path: str) -> str:
    r"""Given a full path like `C:\Windows\x`, return `/cygdrive/c/Windows/x`, as Cygwin's rsync wants it.

    Source: Cygwin User's Guide, "The cygdrive path prefix".
    """
    return f"/cygdrive/{path[0].lower()}{path[2:].replace(chr(92), '/')}"
