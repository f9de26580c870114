"""Remote commands as files: a job is a script in the run's folder, its output file and its exit-code file.

No run holds a pipe to the host, so none can hang on one; a lost session can be taken up again where it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from vsspc.core.errors import RemoteFileMissing
from vsspc.resources import service
from vsspc.resources.site import Site
from vsspc.resources.waiting import poll
from vsspc.windows import scripts
from vsspc.windows.answers import changed, check_unchanged, exit_code
from vsspc.windows.names import Names

OUTPUT_LIMIT = 256 * 1024
"""Bytes of a job's output that are read; a hostile host may offer more."""

_PROGRAM_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended."""

    code: int
    output: bytes


def put(site: Site, run: str, name: str, text: str) -> None:
    """Write a text file of ours into the run's folder. All of them are ASCII."""
    site.transport.put(Names(run).path(name), text.encode("ascii"))


def put_once(site: Site, run: str, name: str, data: bytes) -> None:
    """Write a program into the run's folder, unless this session has done so. Its hash is remembered for `verified`."""
    path = Names(run).path(name)
    if path not in site.uploaded:
        site.transport.put(path, data)
        site.uploaded.add(path)
    site.programs[name] = hashlib.sha256(data).hexdigest()


def put_snippet(site: Site, run: str, name: str) -> None:
    """Write a PowerShell snippet of ours into the run's folder."""
    from importlib.resources import files  # 3 ms of each command; few need a snippet

    text = files("vsspc.windows").joinpath(name).read_text("ascii")
    put_once(site, run, name, text.replace("\n", "\r\n").encode("ascii"))


def hashes(site: Site, run: str, *names: str) -> dict[str, str]:
    """Return what these programs of the run's folder must have, for the job that runs them, and verifies them before.

    Where the host cannot do that they are read back here instead. Raise PayloadBlocked.
    """
    wanted = {name: site.programs[name] for name in names}
    if site.host_verifies:
        return wanted
    for name, digest in wanted.items():
        try:
            found = site.transport.get(Names(run).path(name), _PROGRAM_LIMIT)
        except RemoteFileMissing:
            continue  # cannot be run; what comes of that the job tells
        if hashlib.sha256(found).hexdigest() != digest:
            raise changed(name)
    return {}


def start(site: Site, run: str, job: str, script: str) -> int:
    """Upload the job and start it as LocalSystem; return its Windows PID. An earlier result of the name is gone."""
    clear(site, run, job, f"{job}.rc")
    site.started.add((run, job))
    put(site, run, f"{job}.cmd", script)
    pid = site.transport.start(service.acquire(site, run), scripts.arguments_for(Names(run), job))
    site.log.info("job.started", job=job, pid=pid)
    return pid


def clear(site: Site, run: str, job: str, name: str) -> None:
    """Delete a file that an earlier run of the job may have left."""
    if run not in site.made or (run, job) in site.started:
        site.transport.delete(Names(run).path(name))


def result(site: Site, run: str, job: str) -> JobResult | None:
    """Return the job's result, or None while it runs. Raise PayloadBlocked when it found a program of ours changed, and
    ran nothing.
    """
    names = Names(run)
    try:
        code = exit_code(site.transport.get(names.path(f"{job}.rc"), 64))
    except RemoteFileMissing:
        return None
    try:
        output = site.transport.get(names.path(f"{job}.out"), OUTPUT_LIMIT)
    except RemoteFileMissing:
        output = b""
    check_unchanged(code, output)
    return JobResult(code, output)


def has_ended(site: Site, run: str, job: str) -> bool:
    """Say whether the job has a result, whatever stands in it: on a full disk its exit-code file is empty."""
    return any(site.transport.list(Names(run).folder, f"{job}.rc"))


def wait(site: Site, run: str, job: str, *, begun: bool = False) -> JobResult:
    """Return the job's result, once it has one. Raise DeadlineExceeded at the step's deadline."""
    return poll(site, run, {f"{job}.rc"}, site.deadline, lambda: result(site, run, job), f"the job {job}", begun=begun)


def run_job(site: Site, run: str, job: str, script: str) -> JobResult:
    """Run a job to its end."""
    start(site, run, job, script)
    done = wait(site, run, job, begun=True)
    site.log.info("job.ended", job=job, code=done.code)
    return done
