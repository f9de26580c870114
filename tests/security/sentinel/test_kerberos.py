"""Runs by tickets: no key of a keytab, no session key of a cache, and no password that tickets were asked for with."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.security.realm import running_realm
from vsspc.core import errors

from .kerberosfiles import keys_of_cache, keys_of_keytab
from .search import ACCOUNT_PLACES, Search
from .spellings import key, make_password, password


def test_the_keys_are_those_that_the_tools_of_kerberos_show() -> None:
    with running_realm() as realm:
        code, shown = realm.run("klist", "-k", "-K", str(realm.keytab))
        keys = keys_of_keytab(realm.keytab.read_bytes())
        assert code == 0 and len(keys) >= 2
        assert all(f"0x{one.hex()}" in shown for one in keys)
        cache = realm.tickets()
        assert len(keys_of_cache(cache.read_bytes())) == 1
        realm.ticket_for_the_host(cache)
        found = keys_of_cache(cache.read_bytes())
        assert len(set(found)) == 2 and {len(one) for one in found} == {32}


def test_runs_by_tickets_good_and_bad(tmp_path: Path) -> None:
    secret = make_password()
    (tmp_path / "password").write_text(secret, "utf-8")
    wrong = make_password()
    (tmp_path / "tickets").mkdir()
    watched = tmp_path / "watched"
    watched.mkdir()
    with running_realm("--password-file", str(tmp_path / "password")) as realm:
        search = Search(realm.lab.address, [realm.lab.state, watched])
        search.know(password("the account's password", secret), *ACCOUNT_PLACES)
        search.know(password("a wrong password", wrong), "file */credentials")
        for number, one in enumerate(keys_of_keytab(realm.keytab.read_bytes())):
            search.know(key(f"key {number} of the keytab", one), "file */k/backup.keytab")
        cache = Path(shutil.copy(realm.tickets(), tmp_path / "tickets"))
        for number, one in enumerate(keys_of_cache(cache.read_bytes())):
            search.know(key(f"session key {number} of the cache", one))
        with search:
            tmp = {"TMPDIR": str(watched)}

            def say(name: str, code: int, *sets: str, **environment: str) -> None:
                got, output = realm.pre(*sets, **tmp, **environment)
                search.say(name, output)
                assert got == code, output
                if not code:
                    got, output = realm.post(*sets)
                    search.say(f"post, {name}", output)
                    assert got == 0, output

            say("a keytab", 0)
            say("a cache", 0, "keytab=", "principal=", f"ccache={cache}")
            realm.account(secret)
            say("a password", 0, "keytab=", "principal=")
            realm.account(wrong)
            say("a wrong password", errors.AuthRejected.exit_code, "keytab=", "principal=")
            say("a key that is none", errors.SecretError.exit_code, f"principal=plain@{realm.realm}")
            say("an unknown name", errors.NoTicket.exit_code, "name=elsewhere")
            say("a trace of the library's own", 0, KRB5_TRACE=str(watched / "trace"))
            realm.lab.tell("power_kdc", on=False)
            say("no KDC", errors.NoTicket.exit_code)
            open_to_all = Path(shutil.copy(realm.keytab, realm.folder / "open.keytab"))
            open_to_all.chmod(0o644)
            say("a keytab that others can read", errors.SecretError.exit_code, f"keytab={open_to_all}")
    assert search.found() == []
    assert any("backup.keytab" in name for name in search.at_home)
    assert len(search.one_time) == 4
    assert (watched / "trace").stat().st_size > 1000


