"""No secret is seen anywhere: every artefact of good and bad runs is searched for the passwords, in several spellings."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .conftest import HOST, Rehearsal

SAMBAS_OWN = ("priv", "lock", "nc")
"""Folders of the lab's smbd: its password database is Samba's business."""


def spellings(secret: str) -> list[bytes]:
    """A secret as it may stand in a file: plain, UTF-16, hexadecimal (pypsexec logs so), base64."""
    wide = secret.encode("utf-16-le")
    return [
        secret.encode(),
        wide,
        wide.hex().encode(),
        wide.hex(" ").encode(),
        wide.hex(" ").upper().encode(),
        base64.b64encode(secret.encode()).rstrip(b"="),
    ]


@contextmanager
def watched_processes(seen: set[bytes], running: list[int]) -> Iterator[None]:
    """Sample the command line and environment of every process that may be read."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.003):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        seen.add((process / name).read_bytes())
                    except OSError:
                        continue
                    running[0] += 1

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def artefacts(rehearsal: Rehearsal) -> dict[str, bytes]:
    """Every file of the lab, of this server's state and of BackupPC, but the credentials file itself."""
    found = {}
    for root in (rehearsal.lab.state, rehearsal.folder):
        for path in root.rglob("*"):
            inside = path.relative_to(root).parts
            if path.is_file() and inside[0] not in SAMBAS_OWN and path != rehearsal.lab.credentials:
                found[str(path)] = path.read_bytes()
    return found


def assert_unseen(secrets: list[str], where: dict[str, bytes]) -> None:
    """None of the secrets stands anywhere."""
    for secret in secrets:
        for spelling in spellings(secret):
            for name, content in where.items():
                assert spelling not in content, f"a secret is in {name}"


def test_no_secret_in_any_artefact_of_good_and_bad_dumps(rehearsal: Rehearsal) -> None:
    seen: set[bytes] = set()
    samples = [0]
    texts: dict[str, bytes] = {}
    session = rehearsal.lab.state / "server" / HOST / "session"
    passwords = [rehearsal.lab.password]
    with watched_processes(seen, samples):
        texts["good dump"] = (good := rehearsal.dump()).xferlog.encode()
        assert good.ok, good.xferlog
        rehearsal.lab.inject("daemon-live")
        texts["wrong content"] = rehearsal.dump().xferlog.encode()
        rehearsal.lab.clear()
        rehearsal.lab.inject("vshadow", hresult="0x80042306")
        texts["failed snapshot"] = rehearsal.dump().xferlog.encode()
        rehearsal.lab.clear()
        pre = rehearsal.pre()
        texts["pre"] = pre.communicate(timeout=30)[0].encode()
        fields = dict(line.split("=", 1) for line in session.read_text().splitlines())
        passwords.append(fields["password"])
        while_waiting = artefacts(rehearsal)
        for expected in (str(session), next(name for name in while_waiting if name.endswith("rsyncd.secrets"))):
            assert fields["password"].encode() in while_waiting.pop(expected), "the search would find it"
        post = rehearsal.post()
        texts["post"] = post.communicate(timeout=30)[0].encode()
    rehearsal.assert_clean()
    wrong = "Sentinel-wrong-9"
    rehearsal.account(rehearsal.lab.username, wrong)
    passwords.append(wrong)
    texts["wrong password"] = rehearsal.dump().xferlog.encode()
    rehearsal.log_on_as_before()
    assert samples[0] > 100
    # The dump's own content too: nothing of ours that is secret was there when the shadow copy was made.
    rehearsal.backuppc.extract(HOST, good.newest.number, "C", rehearsal.folder / "extracted")
    everything = {**while_waiting, **artefacts(rehearsal), **texts}
    everything |= {f"process {number}": content for number, content in enumerate(seen)}
    assert_unseen(passwords, everything)
