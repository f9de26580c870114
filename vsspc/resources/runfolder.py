r"""The run's folder on the host, %SystemRoot%\vsspc\runs\<run>: programs, scripts, and what they write.

The programs are uploaded anew for each run into a folder that nobody had before, so no file of an earlier day has to
be trusted, nothing stays behind, and a daemon's image name belongs to one run only. (Where the settings want it they
come out of a store on the host instead, verified each time: vsspc.resources.store.)
"""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.core.words import Kind, Resource, Volume
from vsspc.resources import folders, jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, missing_volumes, prepare_failure, surroundings
from vsspc.windows.names import RUNS, Names


def acquire(site: Site, run: str) -> Surroundings:
    """Make the folder and close it to all but administrators; return what was seen of the host.

    `site.volumes` are those that are there. Raise VolumeUnsupported when a volume is missing that is not optional, or
    none is left; RemoteCommandFailed when the folder cannot be closed; FolderUnsafe when the one above it is open to others.
    """
    volumes = site.settings.volumes
    seen = make(site, run, volumes)
    for volume in volumes:
        if volume.name in seen.missing:
            leave_out(site, volume, "the host has no such volume, or it is locked (BitLocker)")
    if not site.volumes:
        raise missing_volumes(seen.missing, volumes)
    return seen


def make(site: Site, run: str, volumes: Sequence[Volume]) -> Surroundings:
    """Make the folder and close it; return what was seen of the host. Raise as `acquire` does."""
    names = Names(run)
    folders.ensure(site, RUNS)  # goes with the owner file, as the folder above it does
    site.intend(Resource(Kind.RUN_FOLDER, run))
    site.transport.make_folder(names.folder)
    site.made.add(run)
    done = jobs.run_job(site, run, "prepare", scripts.prepare(volumes))
    if done.code != 0:
        raise prepare_failure(done.code, done.output, volumes)
    seen = surroundings(done.output)
    site.host_verifies = seen.has_certutil
    return seen


def leave_out(site: Site, volume: Volume, why: str) -> None:
    """Go on without an optional volume; the log says so."""
    site.volumes = tuple(one for one in site.volumes if one != volume)
    site.log.warning("volume.skipped", volume=volume.name, why=why)


def upload_daemon(site: Site, run: str) -> None:
    """Upload rsync and its libraries, once: done while Windows makes the shadow copy, so that it costs no time."""
    for name, data in _daemon_programs(site, run).items():
        jobs.put_once(site, run, name, data)
    jobs.put_once(site, run, r"etc\fstab", scripts.FSTAB.encode("ascii"))


def daemon_hashes(site: Site, run: str) -> dict[str, str]:
    """Return what rsync and its libraries must have, for the job that runs them."""
    return jobs.hashes(site, run, *_daemon_programs(site, run))


def _daemon_programs(site: Site, run: str) -> dict[str, bytes]:
    own = {"rsync.exe": Names(run).daemon_image}
    return {rf"bin\{own.get(name, name)}": data for name, data in site.bundle.daemon_files.items()}


def release(site: Site, resource: Resource) -> None:
    """Delete the folder and all in it."""
    site.transport.delete_tree(Names(resource.run).folder)
