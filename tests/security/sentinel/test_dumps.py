"""Dumps by a real BackupPC, good and bad: nothing that anybody could look at shows a secret."""

from __future__ import annotations

import json
import secrets
import shutil
from typing import Any

from tests.faults.conftest import HOST, succeed
from vsspc.lab.backuppc import SHIMS, PerlValue, give

from .site import Site, site
from .spellings import make_password, password

BAD: dict[str, dict[str, Any]] = {
    "daemon-live": {},
    "daemon-empty": {},
    "vshadow": {"hresult": "0x80042306"},
    "port-taken": {},
    "link-drop": {},
    "daemon-dies": {"seconds": 0.4},
}
"""What goes wrong on the host, by faults of the lab."""


def dumped(site: Site, texts: list[tuple[str, str]], name: str, *, full: bool = True) -> bool:
    """Dump; keep all that BackupPC shows of it."""
    result = site.dump(full=full)
    texts += [(f"XferLOG, {name}", result.xferlog), (f"pc LOG, {name}", result.pc_log), (f"LOG, {name}", result.server_log)]
    return result.ok


def test_dumps_good_and_bad() -> None:
    texts: list[tuple[str, str]] = []
    with site() as made:
        lab = made.lab
        with made.search() as search:
            assert dumped(made, texts, "full"), texts
            assert dumped(made, texts, "incremental", full=False), texts
            for fault, parameters in BAD.items():
                lab.inject(fault, **parameters)
                dumped(made, texts, fault)
                lab.clear()
            made.assert_clean()
        for backup in made.backuppc.backups("winbox"):
            into = made.folder / f"backup-{backup.number}"
            made.backuppc.extract("winbox", backup.number, "C", into)
            search.say_folder(f"backup {backup.number}", into)
            shutil.rmtree(into)
        for name, text in texts:
            search.say(name, text)
        assert search.found() == []
        assert len(search.one_time) >= 5
        for place in ("/credentials", "/session", "/rsyncd.secrets", "/.rsyncdpw"):
            assert any(place in name for name in search.at_home), f"the search finds what is in {place}"
        assert search.seen[0] > 1000


def test_dumps_with_accounts_that_will_not_do() -> None:
    texts: list[tuple[str, str]] = []
    wrong = make_password()
    with site() as made:
        lab = made.lab
        with made.search() as search:
            search.know(password("a wrong password", wrong), "file */credentials")
            port = lab.smb_port
            lab.configure(smb_port="1")
            assert not dumped(made, texts, "host gone")
            lab.configure(smb_port=str(port))
            made.account(lab.username, wrong)
            assert not dumped(made, texts, "wrong password")
            lab.credentials.chmod(0o644)
            assert not dumped(made, texts, "credentials that others can read")
            lab.credentials.chmod(0o600)
            lab.credentials.write_text(f"username={lab.username}\n{wrong}\n", "utf-8")
            assert not dumped(made, texts, "credentials that are malformed")
            made.log_on_as_before()
            assert dumped(made, texts, "as before"), texts
            made.assert_clean()
        for name, text in texts:
            search.say(name, text)
        assert search.found() == []


def test_a_fixed_rsync_password_and_a_restore() -> None:
    texts: list[tuple[str, str]] = []
    fixed = f"Sentinel-{secrets.token_hex(12)}"
    with site() as made:
        lab, file = made.lab, made.folder / "rsync-password"
        file.touch(mode=0o600)
        file.write_text(f"{fixed}\n", "ascii")
        give(file, made.backuppc.user)
        lab.configure(restore='"volume"')
        made.add_key(f"rsync_password_file = {json.dumps(str(file))}")
        told: dict[str, PerlValue] = {"RsyncdClientPort": lab.rsync_port, "RsyncdPasswd": fixed}
        made.set_address(lab.address, DumpPreShareCmd=None, **told)
        host = ("--client", HOST, "--host", lab.address)
        with made.search() as search:
            search.know_fixed(fixed, f"file */etc/{HOST}.pl")
            assert dumped(made, texts, "by a fixed password"), texts
            texts.append(("restore-pre", succeed(made.command(f"{SHIMS}/vsspc-restore-pre", *host, "--share", "C"))))
            texts.append(("restore-post", succeed(made.command(f"{SHIMS}/vsspc-restore-post", *host, "--xfer-ok", "1"))))
            made.assert_clean()
        for name, text in texts:
            search.say(name, text)
        assert search.found() == []
        assert any(name.endswith("/rsyncd.secrets") for name in search.at_home)
