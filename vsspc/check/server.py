"""What is found on this server: the bundle of Windows programs. Pure."""

from __future__ import annotations

from vsspc.core.findings import Finding, Level
from vsspc.core.settings import Bundle, HostSettings
from vsspc.windows import pe

_WHOLE_SET = "put rsync.exe with all its cyg*.dll of one build into {folder} (docs/bundle.md says where they come from)"


def bundle(found: Bundle, settings: HostSettings, folder: str) -> Finding:
    """Say whether the bundle has what a run needs, all of one build."""
    checked = pe.check(found.files)
    faults = list(checked.faults)
    faults += [f"{name} is missing" for name in found.missing(settings.engine) if not any(name in one for one in faults)]
    if faults:
        says = f"{'; '.join(faults)}: rsync does not start on the host, or no run begins."
        return Finding("bundle", Level.FAILED, says, _WHOLE_SET.format(folder=folder))
    size = sum(map(len, found.files.values()))
    machine = f", for {checked.rsync}" if checked.rsync else ""
    return Finding("bundle", Level.OK, f"{len(found.files)} files, {size} bytes, complete and of one build{machine}.")
