r"""The store on the host, %SystemRoot%\vsspc\bundle: the bundle's programs, kept there where the settings want it.

Each file has the name of its content, its SHA-256, and is moved there whole. Nothing runs from the store: a run copies
what it needs into its own folder, and what is to run is verified right there, each time. So nothing is ever written
under a daemon's feet, a file that was tampered with is found before it runs, and half of an upload cannot run at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vsspc.core.errors import RemoteCommandFailed, RemoteFileExists, RemoteFileMissing, SessionLost
from vsspc.core.settings import Bundle
from vsspc.resources import folders, jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import tail, text_of
from vsspc.windows.names import HOME, MANIFEST, RUNS, STORE, Names

_HASH = re.compile(r"[0-9a-f]{64}")
_KEPT = re.compile(r"^kept=([0-9a-f]{64})\s*$", re.MULTILINE)
_STAGED = re.compile(r"^staged=(\S+)\s*$", re.MULTILINE)
_MANIFEST_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is to be sent to the store now; sizes are bytes, `sent` is what went before it, of `total`."""

    name: str
    size: int
    sent: int
    total: int


Told = Callable[[Upload], None]


def supply(site: Site, run: str) -> None:
    """Bring the run's programs out of the store, if the host keeps one; without it they are uploaded when needed."""
    if site.settings.bundle_on_host != "keep":
        return
    try:
        staged = provide(site, run, lambda upload: site.log.info("store.upload", name=upload.name, size=upload.size))
    except (RemoteCommandFailed, RemoteFileExists) as error:
        site.log.warning("store.unusable", why=error.message)
        return
    names = Names(run)
    site.uploaded |= {names.path(rf"bin\{name}") for name in staged}


def provide(site: Site, run: str, told: Told) -> frozenset[str]:
    r"""Bring the store up to date, and its files into the run's `bin`; return the names of those that verified there.

    The folder of the run is there. Only what the store has not is uploaded, and what does not verify. Raise
    RemoteFileExists when the store is not ours, RemoteCommandFailed when the host cannot check files.
    """
    wanted = {hashlib.sha256(data).hexdigest(): name for name, data in site.bundle.files.items()}
    present = _look(site)
    if present is None:
        site.transport.make_folder(STORE)
        present = {}
    lacking = [digest for digest, name in wanted.items() if present.get(digest) != len(site.bundle.files[name])]
    whole = _add(site, run, {digest: wanted[digest] for digest in lacking}, told)
    hashes = _by_name_in_bin(site.bundle, Names(run))
    staged = _stage(site, run, hashes)
    spoiled = {hashes[name] for name in hashes.keys() - staged}.difference(lacking)
    if spoiled:
        site.log.warning("store.spoiled", files=sorted(wanted[digest] for digest in spoiled))
        whole &= _add(site, run, {digest: wanted[digest] for digest in sorted(spoiled)}, told)
        staged = _stage(site, run, hashes)
    if whole:
        _settle(site, run, sorted(name for name in present.keys() - wanted.keys() if _HASH.fullmatch(name)))
    return staged


def remove(site: Site) -> bool:
    """Delete the store; say whether there was one. Raise RemoteFileExists when it is not ours."""
    if _look(site) is None:
        return False
    site.transport.delete_tree(STORE)
    return True


def _look(site: Site) -> dict[str, int] | None:
    """Return the sizes of the store's files by name, None when there is no store. Raise RemoteFileExists."""
    found = {entry.name.lower(): entry for entry in site.transport.list(HOME, "bundle")}.get("bundle")
    if found is None:
        return None
    if not found.is_folder or found.is_link:
        raise _not_ours("it is no folder, but a file or a link")
    folders.check(site, STORE)
    sizes = {}
    for entry in site.transport.list(STORE):
        known = _HASH.fullmatch(entry.name) or rf"{STORE}\{entry.name}" == MANIFEST
        if not known or entry.is_folder or entry.is_link:
            raise _not_ours(f"{entry.name!a:.80} in it is not")
        sizes[entry.name] = entry.size
    return sizes


def _not_ours(why: str) -> RemoteFileExists:
    return RemoteFileExists(
        rf"%SystemRoot%\{STORE} on the host is not ours: {why}",
        advice="Look at it on the host, and delete it there; until then each run uploads its programs.",
    )


def _add(site: Site, run: str, files: Mapping[str, str], told: Told) -> bool:
    """Upload files (names in the bundle, by hash) into the store; say whether all are there now."""
    if not files:
        return True
    arrivals = Names(run).path(scripts.ARRIVALS)
    site.transport.delete_tree(arrivals)
    site.transport.make_folder(arrivals)
    sent, total = 0, sum(len(site.bundle.files[name]) for name in files.values())
    for number, name in enumerate(files.values()):
        data = site.bundle.files[name]
        told(Upload(name, len(data), sent, total))
        site.transport.put(rf"{arrivals}\{number}", data)
        sent += len(data)
    done = jobs.run_job(site, run, "keep", scripts.keep(list(files)))
    _check(done)
    site.transport.delete_tree(arrivals)
    refused = files.keys() - set(_KEPT.findall(text_of(done.output)))
    if refused:
        site.log.warning("store.refused", files=sorted(files[digest] for digest in refused), output=tail(done.output))
    return not refused


def _stage(site: Site, run: str, hashes: Mapping[str, str]) -> frozenset[str]:
    done = jobs.run_job(site, run, "stage", scripts.stage(hashes))
    _check(done)
    return frozenset(_STAGED.findall(text_of(done.output))) & hashes.keys()


def _check(done: jobs.JobResult) -> None:
    if done.code == scripts.CERTUTIL_MISSING:
        raise RemoteCommandFailed(
            "the host has no certutil.exe, so it cannot check files", advice='Set bundle_on_host = "run" for this host.'
        )
    if done.code == scripts.ACL_FAILED:
        raise RemoteCommandFailed(rf"%SystemRoot%\{STORE} could not be closed to others (icacls): {tail(done.output)}")
    if done.code != 0:
        raise RemoteCommandFailed(f"a job on the store ended with {done.code}: {tail(done.output)}")


def _by_name_in_bin(bundle: Bundle, names: Names) -> dict[str, str]:
    """Return the hashes of the bundle's files by the names that a run gives them."""
    own = {"rsync.exe": names.daemon_image, "vshadow.exe": names.requester_image}
    return {own.get(name, name): hashlib.sha256(data).hexdigest() for name, data in bundle.files.items()}


def _settle(site: Site, run: str, superfluous: Sequence[str]) -> None:
    """Write the manifest, which is for people and comes last; then remove what is not in it, if no other run is there.

    That is caution only: a run does not need the store once its programs are in its own folder.
    """
    files = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in site.bundle.files.items()}
    manifest = json.dumps({"version": 1, "files": files}, indent=1, sort_keys=True).encode("ascii")
    try:
        known = site.transport.get(MANIFEST, _MANIFEST_LIMIT)
    except RemoteFileMissing:
        known = b""
    if known != manifest:
        site.transport.put(MANIFEST, manifest)
    if not superfluous or any(entry.name.lower() != run for entry in site.transport.list(RUNS)):
        return
    for name in superfluous:
        try:
            site.transport.delete(rf"{STORE}\{name}")
        except SessionLost as error:  # another program looks at it: it goes the next time
            site.log.info("store.left", name=name, why=error.message)
