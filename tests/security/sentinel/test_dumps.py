"""Dumps by a real BackupPC, good and bad: nothing that anybody could look at shows a secret."""

from __future__ import annotations

import shutil
from typing import Any

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
