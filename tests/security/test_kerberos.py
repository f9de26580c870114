"""Kerberos alone: stock Samba whose NTLM is off, MIT's KDC, the real shims. And every way in which it can fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import spnego
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBException
from smbprotocol.session import Session

from tests.faults.conftest import CONTENT, HOST, Rehearsal
from vsspc.adapters.authentication import Authentication
from vsspc.adapters.clock import SystemClock
from vsspc.core import errors
from vsspc.core.deadline import Deadline
from vsspc.core.logon import Logon, Tickets
from vsspc.core.secret import Credentials, Secret
from vsspc.lab.backuppc import SHIMS, BackupPC, adopt, caller_or_backuppc, give
from vsspc.lab.process import LabProcess

from .realm import VSSPC, Realm, as_of_another_clock, no_secret_in, running_realm
from .shown import everything_in

SENTINEL = "Sentinel-Pa55word!"
OFFERS_ALL = bytes.fromhex("2a864886f712010202") + bytes.fromhex("2b06010401823702020a")


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    """A realm that tests leave as it was."""
    with running_realm() as made:
        yield made


@pytest.fixture
def own_realm() -> Iterator[Realm]:
    """A realm of the test's own."""
    with running_realm() as made:
        yield made


def assert_refused(outcome: tuple[int, str], kind: type[errors.VsspcError], *words: str) -> None:
    """It ended with this error, in one line that has these words, and without having reached the host's disks."""
    code, output = outcome
    assert code == kind.exit_code, output
    line = output.rstrip().splitlines()[-1]
    assert line.endswith(f"[{kind.__name__}, exit {kind.exit_code}]"), output
    assert all(word in line for word in words), output
    assert "step snapshot" not in output


def assert_left_clean(realm: Realm) -> None:
    left = realm.lab.settled()
    assert not any(left.values()), left


# ---------------------------------------------------------------- a dump


def test_a_real_backuppc_dumps_a_host_that_takes_nothing_but_tickets() -> None:
    with tempfile.TemporaryDirectory(prefix="vsspc-") as name, running_realm() as realm:
        folder, lab = Path(name), realm.lab
        folder.chmod(0o755)
        user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm"])
        for source in (realm.keytab, realm.config):
            give(Path(shutil.copy(source, lab.state / source.name)), user)
        lab.configure(keytab=json.dumps(str(lab.state / realm.keytab.name)))
        lab.credentials.unlink()  # there is no password at all
        lab.credentials.touch()
        adopt(lab.config, user)
        environment = {name: value for name, value in realm.environment.items() if name.startswith("VSSPC")}
        environment["KRB5_CONFIG"] = str(lab.state / realm.config.name)
        for path, data in CONTENT.items():
            file = lab.volume() / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        lab.lock("C:\\Users\\Ada\\mail.pst")
        with BackupPC(folder / "backuppc", user=user, environment=environment) as backuppc:
            rehearsal = Rehearsal(lab, backuppc, folder, lab.config, lab.state / "server")
            rehearsal.set_address(lab.address)
            rehearsal.assert_next_dump_works()
        said = [json.loads(line) for line in (lab.state / "vsspc.jsonl").read_text("utf-8").splitlines()]
        sessions = [one for one in said if one["event"] == "session"]
        assert {one["auth"] for one in sessions} == {"Kerberos"} and len(sessions) >= 2
        assert all(one["encrypted"] and one["dialect"] == "3.1.1" for one in sessions)
        assert {one["host"] for one in said} == {HOST} != {realm.host}


def test_the_host_takes_no_password_however_it_is_sent(realm: Realm) -> None:
    for protocol in ("ntlm", "negotiate"):
        connection = Connection(uuid.uuid4(), realm.lab.address, realm.lab.smb_port, require_signing=True)
        connection.connect()
        try:
            no_tickets = spnego.KerberosCCache("MEMORY:none")
            right = spnego.Password(realm.lab.username, realm.lab.password)
            with pytest.raises(SMBException):
                Session(connection, [no_tickets, right], None, auth_protocol=protocol).connect()
        finally:
            connection.disconnect(close=False)
    told = realm.pre('keytab=""', 'principal=""', "auth=ntlm")
    assert_refused(told, errors.AuthRejected, "does not offer NTLM", "kerberos")


@pytest.mark.parametrize("source", ["ccache", "keytab", "keytab alone", "password", "negotiated password"])
def test_tickets_come_from_a_cache_a_keytab_or_a_password(own_realm: Realm, source: str) -> None:
    realm = own_realm
    realm.account(realm.lab.password)
    settings = {
        "ccache": ("keytab=", "principal=", f"ccache={realm.tickets()}"),
        "keytab": (),
        "keytab alone": ("principal=", "auth=negotiate"),
        "password": ("keytab=", "principal="),
        "negotiated password": ("keytab=", "auth=negotiate"),
    }[source]
    code, output = realm.pre(*settings)
    assert code == 0 and "logged on by Kerberos" in output, output
    code, output = realm.post(*settings)
    assert code == 0, output
    assert_left_clean(realm)
    artefacts = {str(path): path.read_bytes() for path in realm.lab.state.glob("*.jsonl")}
    artefacts |= {str(path): path.read_bytes() for path in (realm.lab.state / "server").rglob("*") if path.is_file()}
    no_secret_in({"output": output.encode(), **artefacts}, realm.lab.password)


@pytest.mark.parametrize(
    ("client", "name", "setting"),
    [("labhost", None, ""), ("pc-7", "labhost", ""), ("pc-7", None, "labhost"), ("host", None, "lab*"), ("a", "labhost", "b")],
)
def test_the_ticket_is_for_the_hosts_name_wherever_it_is_reached(
    own_realm: Realm, client: str, name: str | None, setting: str
) -> None:
    own_realm.lab.configure(name=json.dumps(setting))
    code, output = own_realm.pre(client=client, name=name)
    assert code == 0, output


# ---------------------------------------------------------------- what goes wrong


def test_a_name_that_the_kdc_does_not_know(realm: Realm) -> None:
    assert_refused(realm.pre(name="elsewhere"), errors.NoTicket, "cifs/elsewhere", "knows no host", "setspn")


def test_an_account_that_the_kdc_does_not_know(realm: Realm) -> None:
    told = realm.pre("keytab=", f"principal=nobody@{realm.realm}")
    assert_refused(told, errors.AuthRejected, "nobody", "no such account", "not tried again")


def test_a_realm_that_nobody_knows(realm: Realm) -> None:
    assert_refused(realm.pre("keytab=", "principal=backup@NOWHERE.EXAMPLE"), errors.NoTicket, "NOWHERE", "krb5.conf")


def test_an_expired_ticket(realm: Realm) -> None:
    cache = realm.tickets("-l", "1s")
    realm.wait_until_expired(cache)
    assert_refused(realm.pre("keytab=", f"ccache={cache}"), errors.NoTicket, "expired", "kinit")


@pytest.mark.parametrize("seconds", [1800, -1800])
def test_a_clock_that_is_not_the_kdcs(realm: Realm, seconds: int) -> None:
    cache = realm.tickets()
    as_of_another_clock(cache, seconds)
    assert_refused(realm.pre("keytab=", f"ccache={cache}"), errors.NoTicket, "clocks differ", "NTP")


def test_a_clock_that_is_not_the_hosts(realm: Realm) -> None:
    cache = realm.tickets()
    realm.ticket_for_the_host(cache)  # so the KDC is not asked any more
    as_of_another_clock(cache, 1800)
    before = realm.requests("ISSUE")
    assert_refused(realm.pre("keytab=", f"ccache={cache}"), errors.NoTicket, "clocks differ", "NTP")
    assert realm.requests("ISSUE") == before


@pytest.mark.parametrize("where", ["cache", "keytab"])
def test_tickets_and_keys_that_others_can_read(realm: Realm, where: str) -> None:
    file = realm.tickets() if where == "cache" else Path(shutil.copy(realm.keytab, realm.folder / "open.keytab"))
    file.chmod(0o640)
    sets = ("keytab=", f"ccache=FILE:{file}") if where == "cache" else (f"keytab={file}",)
    assert_refused(realm.pre(*sets), errors.SecretError, "may be read by others", "0640")


@pytest.mark.parametrize("setting", ["keytab", "ccache"])
def test_tickets_and_keys_that_are_not_there(realm: Realm, setting: str) -> None:
    told = realm.pre("keytab=", f"{setting}={realm.folder}/none")
    assert_refused(told, errors.SecretError, "cannot be read", "No such file")


@pytest.mark.parametrize("setting", ["keytab", "ccache"])
def test_tickets_and_keys_that_are_none(realm: Realm, setting: str) -> None:
    junk = realm.folder / f"junk-{setting}"
    junk.write_bytes(os.urandom(300))
    junk.chmod(0o600)
    assert_refused(realm.pre("keytab=", f"{setting}={junk}"), errors.NoTicket, "no Kerberos ticket")


def test_a_keytab_without_the_accounts_key(realm: Realm) -> None:
    told = realm.pre(f"principal=plain@{realm.realm}")
    assert_refused(told, errors.SecretError, "no key of the account", "klist")


def test_a_keytab_whose_keys_are_no_longer_right(own_realm: Realm) -> None:
    own_realm.kadmin("cpw -randkey backup")
    assert_refused(own_realm.pre("retry.connect.attempts=5"), errors.AuthRejected, "keytab", "not tried again")
    assert own_realm.requests("PREAUTH_FAILED") == 1


def test_a_wrong_password_is_sent_once_whatever_is_retried(own_realm: Realm) -> None:
    own_realm.account(SENTINEL)
    for auth in ("kerberos", "negotiate"):
        before = own_realm.requests("PREAUTH_FAILED")
        told = own_realm.pre("keytab=", f"auth={auth}", "retry.connect.attempts=5")
        assert_refused(told, errors.AuthRejected, "wrong", "not tried again")
        no_secret_in({"output": told[1].encode()}, SENTINEL)
        assert own_realm.requests("PREAUTH_FAILED") == before + 1


def test_a_locked_account(own_realm: Realm) -> None:
    own_realm.kadmin("modprinc -allow_tix backup")
    assert_refused(own_realm.pre(), errors.AccountLocked, "locked out or disabled")


def test_an_expired_password(own_realm: Realm) -> None:
    own_realm.kadmin("modprinc -pwexpire yesterday backup")
    assert_refused(own_realm.pre(), errors.AuthRejected, "password has expired")


def test_a_host_that_has_another_key_than_the_kdc(own_realm: Realm) -> None:
    own_realm.kadmin(f"cpw -randkey cifs/{own_realm.host}")
    assert_refused(own_realm.pre(), errors.NoTicket, "another key", "joined its domain")


def test_a_kdc_that_is_down_and_comes_back(own_realm: Realm) -> None:
    own_realm.lab.tell("power_kdc", on=False)
    code, output = own_realm.pre()
    assert_refused((code, output), errors.NoTicket, "no KDC answers", "KDC run")
    assert "attempt 1 failed" in output  # it may pass by itself
    own_realm.lab.tell("power_kdc", on=True)
    code, output = own_realm.pre()
    assert code == 0, output


def test_a_kdc_that_never_answers_is_waited_for_no_longer_than_the_host(own_realm: Realm) -> None:
    own_realm.lab.tell("power_kdc", on=True, frozen=True)
    told = own_realm.pre("timeouts.connect=1s", "retry.connect.attempts=1")
    assert_refused(told, errors.NoTicket, "no KDC answers", "timeouts.connect")


def test_a_stop_signal_while_the_kdc_is_silent(own_realm: Realm) -> None:
    own_realm.lab.tell("power_kdc", on=True, frozen=True)
    command = own_realm.start(*own_realm.pre_command("timeouts.connect=50s", "pre_timeout=100s"))
    lease = own_realm.lab.state / "server" / "labhost" / "lease.json"
    end = time.monotonic() + 20
    while not lease.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    threads = Path(f"/proc/{command.pid}/task")
    while len(list(threads.iterdir())) < 4:  # smbprotocol's, the watchdog's, and the one that asks the KDC
        assert time.monotonic() < end
        time.sleep(0.02)
    command.send_signal(signal.SIGTERM)
    output, _ = command.communicate(timeout=30)
    assert command.returncode == 128 + signal.SIGTERM, output


def test_a_host_that_offers_no_kerberos(lab: LabProcess, realm: Realm) -> None:
    shim = realm.pre_command(f"smb_port={lab.smb_port}")
    shim[shim.index("--host") + 1] = lab.address
    before = realm.requests("ISSUE")
    assert_refused(realm.run(*shim), errors.AuthRejected, "does not offer Kerberos")
    assert realm.requests("ISSUE") == before


# ---------------------------------------------------------------- one way is chosen


def deadline() -> Deadline:
    return Deadline.after(SystemClock().now(), 20.0, "of the test")


def negotiating(realm: Realm, host: str, password: str) -> Authentication:
    """What a host is logged on to by that takes either."""
    credentials = Credentials(realm.lab.username, Secret(password))
    return Authentication(
        Logon(credentials=credentials, tickets=Tickets(host=host, principal=realm.principal)), SystemClock()
    )


def test_kerberos_is_taken_where_it_can_be_had_and_ntlm_only_where_not(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(realm.config))
    way = negotiating(realm, realm.host, realm.lab.password).way(OFFERS_ALL, "127.0.0.1", deadline())
    assert (way.method, way.target) == ("Kerberos", realm.host)
    assert not any(isinstance(one, spnego.Password) for one in way.credentials)
    way = negotiating(realm, "elsewhere", realm.lab.password).way(OFFERS_ALL, "127.0.0.1", deadline())
    assert way.method.startswith("NTLM, since there is no Kerberos ticket") and way.target == "127.0.0.1"


def test_a_password_that_the_kdc_rejected_is_not_tried_on_the_host(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(realm.config))
    with pytest.raises(errors.AuthRejected) as caught:
        negotiating(realm, realm.host, SENTINEL).way(OFFERS_ALL, "127.0.0.1", deadline())
    assert SENTINEL not in everything_in(caught.value)


def test_tickets_that_were_asked_for_are_forgotten(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(realm.config))
    authentication = negotiating(realm, realm.host, realm.lab.password)
    way = authentication.way(OFFERS_ALL, "127.0.0.1", deadline())
    spnego.client(way.credentials, hostname=realm.host, service="cifs").step()
    authentication.close()
    with pytest.raises(spnego.exceptions.SpnegoError):
        spnego.client(way.credentials, hostname=realm.host, service="cifs").step()


def test_the_kdc_is_not_asked_with_a_password_that_is_for_ntlm(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    # pyspnego by itself asks it, as soon as the libraries are installed and the password is not for a local account only.
    monkeypatch.setenv("KRB5_CONFIG", str(realm.config))
    before = realm.requests("ISSUE"), realm.requests("PREAUTH_FAILED")
    logon = Logon(credentials=Credentials(realm.lab.username, Secret(realm.lab.password)))
    way = Authentication(logon, SystemClock()).way(OFFERS_ALL, "127.0.0.1", deadline())
    token = spnego.client(way.credentials, hostname="127.0.0.1", service="cifs").step()
    assert token is not None and b"NTLMSSP" in token and OFFERS_ALL[:9] not in token
    assert (realm.requests("ISSUE"), realm.requests("PREAUTH_FAILED")) == before


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krb5", None)
    authentication = Authentication(Logon(tickets=Tickets(host="x", ccache="FILE:/none"), ntlm=False), SystemClock())
    with pytest.raises(errors.ConfigError, match="not installed") as caught:
        authentication.way(b"", "127.0.0.1", deadline())
    assert "vsspc[kerberos]" in caught.value.next_step


def test_asking_the_kdc_leaves_no_thread(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(realm.config))
    before = threading.active_count()
    negotiating(realm, realm.host, realm.lab.password).way(OFFERS_ALL, "127.0.0.1", deadline())
    assert threading.active_count() == before


# ---------------------------------------------------------------- the lab's own


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_lab_that_ends_or_is_killed_leaves_no_kdc(own_realm: Realm, end: str) -> None:
    kdc = Path("/proc") / own_realm.config.with_name("pid").read_text("ascii").strip()
    assert (kdc / "comm").read_text("ascii").strip() == "krb5kdc"
    getattr(own_realm.lab, end)()
    waited_until = time.monotonic() + 20
    while own_realm.lab.state.exists() or (kdc.exists() and ") Z " not in (kdc / "stat").read_text("ascii")):
        assert time.monotonic() < waited_until
        time.sleep(0.02)
