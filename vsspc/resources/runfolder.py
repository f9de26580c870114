r"""The run's folder on the host, %SystemRoot%\vsspc\runs\<run>: programs, scripts, and what they write.

The programs are uploaded anew for each run into a folder that nobody had before, so no file of an earlier day has to
be trusted, nothing stays behind, and a daemon's image name belongs to one run only.
"""

from __future__ import annotations

from vsspc.core.words import Kind, Resource
from vsspc.resources import folders, jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, prepare_failure, surroundings
from vsspc.windows.names import RUNS, Names


def acquire(site: Site, run: str) -> Surroundings:
    """Make the folder, close it to all but administrators, upload what the snapshot needs; return what was seen.

    Raise VolumeUnsupported when a volume is missing, RemoteCommandFailed when the folder cannot be closed.
    """
    names = Names(run)
    site.intend(Resource(Kind.RUN_FOLDER, run))
    folders.ensure(site, RUNS)  # its own parent was made with the owner file
    for folder in (names.folder, names.path("bin"), names.path("etc")):
        site.transport.make_folder(folder)
    volumes = site.settings.volumes
    done = jobs.run_job(site, run, "prepare", scripts.prepare(volumes))
    if done.code != 0:
        raise prepare_failure(done.code, done.output, volumes)
    site.transport.put(names.path(rf"bin\{names.requester_image}"), site.bundle.files["vshadow.exe"])
    if site.bundle.has_dosdev:
        site.transport.put(names.path(r"bin\dosdev.exe"), site.bundle.files["dosdev.exe"])
    return surroundings(done.output)


def upload_daemon(site: Site, run: str) -> None:
    """Upload rsync and its libraries: done while Windows makes the shadow copy, so that it costs no time."""
    names = Names(run)
    for name, data in site.bundle.daemon_files.items():
        target = names.daemon_image if name == "rsync.exe" else name
        site.transport.put(names.path(rf"bin\{target}"), data)
    site.transport.put(names.path(r"etc\fstab"), scripts.FSTAB.encode("ascii"))


def release(site: Site, resource: Resource) -> None:
    """Delete the folder and all in it."""
    site.transport.delete_tree(Names(resource.run).folder)
