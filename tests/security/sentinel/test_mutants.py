"""The search, shown able to fail: each way to give a secret away is found, where it was given away."""

from __future__ import annotations

import base64
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import ended
from tests.security.realm import SHIMS, running_realm

from .capture import Capture, may_capture
from .kerberosfiles import keys_of_keytab
from .search import ACCOUNT_PLACES, Search
from .site import Site, site
from .spellings import key, password

ACCOUNT, ONCE = "the account's password", r"one-time password \d"
MUTANTS = {
    "gives it as an argument": rf"{ONCE} .* in command line ",
    "gives it in the environment": rf"{ACCOUNT} .* in environment of ",
    "prints it": rf"{ACCOUNT} \(.*base64.* in pre$",
    "logs it": rf"{ACCOUNT} \(.*utf-16-le, hex.* in file .*/vsspc\.jsonl$",
    "logs its NT hash": rf"{ACCOUNT} \(NT hash, HEX.* in file .*/vsspc\.jsonl$",
    "writes it to a temporary file": rf"{ACCOUNT} .* in file .*/tmp/tmp\w+$",
    "writes it to the lease": rf"{ONCE} .* in file .*/lease\.json$",
    "writes the account's password to the session file": rf"{ACCOUNT} \(.*base64.* in file .*/session$",
    "says it in an error": rf"{ONCE} .* in file .*/vsspc\.jsonl$",
    "keeps its frames": rf"{ONCE} .* in file .*/errors/\d+$",
    "keeps the session": rf"{ONCE} is still in .*/session$",
    "leaves it on the host": rf"{ACCOUNT} \(.*utf-16-le.* in file .*/c/Windows/left\.txt$",
}
"""What is wrong with vsspc (see faulty.py), and what the search must find then."""


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with site() as one:
        yield one


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_found(made: Site, mutant: str) -> None:
    (made.lab.state / "vsspc.jsonl").write_bytes(b"")
    for path in made.told.iterdir():
        path.unlink()
    made.faults = mutant
    if mutant == "keeps its frames":
        made.lab.inject("port-taken")
    try:
        with made.search() as search:
            search.say("pre", made.pre().communicate(timeout=60)[0])
            made.lab.clear()
            search.say("post", made.post(transfer_ok=False).communicate(timeout=60)[0])
    finally:
        made.faults = ""
        made.lab.clear()
    found = search.found()
    assert any(re.search(MUTANTS[mutant], one) for one in found), found
    ended(made.post(transfer_ok=False), 0)
    (made.lab.volume() / "Windows" / "left.txt").unlink(missing_ok=True)
    (made.state_dir / "winbox" / "session").unlink(missing_ok=True)


def test_what_comes_into_the_backup_is_found() -> None:
    with site(faults="leaves it on the host") as made:
        assert made.dump().ok
        with made.search() as search:
            assert made.dump().ok
        into = made.folder / "backup"
        into.mkdir()
        made.backuppc.extract("winbox", 1, "C", into)
        search.say_folder("backup", into)
        found = search.found()
    assert any(one.endswith(" in backup Windows/left.txt") for one in found), found
    assert any(re.search(rf"{ONCE} .* in file .*/events\.jsonl$", one) for one in found), "the host's record of commands"


@pytest.mark.skipif(not may_capture(), reason="only root may listen to the network")
def test_a_password_that_goes_over_the_network_in_the_clear_is_found() -> None:
    with site(("--encryption", "off")) as made, made.search() as search:
        search.say("pre", ended(made.command(*_in_the_clear("vsspc-pre", made), "--type", "full"), 0))
        search.say("post", ended(made.command(*_in_the_clear("vsspc-post", made), "--xfer-ok", "1"), 0))
    found = search.found()
    assert any(re.search(rf"{ONCE} .* in connection ", one) for one in found), found
    assert all(" in connection " in one for one in found), found
    assert not any(ACCOUNT in one for one in found), "that never goes over the network, encrypted or not"


def _in_the_clear(shim: str, made: Site) -> list[str]:
    return [str(SHIMS / shim), "--client", "winbox", "--host", made.lab.address, "--set", "encrypt=false"]


@pytest.mark.skipif(not may_capture(), reason="only root may listen to the network")
def test_a_capture_has_every_byte_in_order_however_it_was_cut() -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range(300_000))
    with Capture("127.77.0.1") as capture, socket.create_server(("127.77.0.1", 0)) as listening:
        for _ in range(2):
            with socket.create_connection(listening.getsockname()) as near, listening.accept()[0] as far:
                at = 0
                for size in (1, 2, 7, 1000, 65535, 70000):
                    near.sendall(content[at : at + size])
                    at += size
                    far.recv(size, socket.MSG_WAITALL)
                far.sendall(b"the answer")
                near.recv(10, socket.MSG_WAITALL)
    streams = list(capture.streams.values())
    assert streams.count(content[:at]) == 2 and streams.count(b"the answer") == 2
    assert capture.bytes == 2 * (at + len(b"the answer"))


def test_keys_are_found(tmp_path: Path) -> None:
    with running_realm() as realm:
        keytab = realm.keytab.read_bytes()
        search = Search(realm.lab.address, [tmp_path])
        search.know(key("a key", keys_of_keytab(keytab)[0]), *ACCOUNT_PLACES)
        with search:
            shutil.copy(realm.keytab, tmp_path / "copy")
            (tmp_path / "told").write_bytes(b'{"keytab": "' + base64.b64encode(keytab) + b'"}')
            search.say("klist", realm.run("klist", "-k", "-K", str(realm.keytab))[1])
    found = search.found()
    assert {one.rpartition("/")[2].rpartition(" in ")[2] for one in found} == {"copy", "told", "klist"}


def test_what_is_there_for_a_moment_only_is_found(tmp_path: Path) -> None:
    secret = "A-secret-of-one-moment"
    search = Search("127.77.0.2", [tmp_path])
    search.know(password("it", secret))
    with search:
        for number in range(20):
            (tmp_path / f"x{number}").write_text(secret, "utf-8")
    assert len(search.found()) == 20
