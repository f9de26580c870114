"""Where the account's password comes from, that nobody else can have read it, and that no error shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from vsspc.adapters import credentials as module
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon
from vsspc.adapters.psexec import PsexecTransportFactory
from vsspc.config import reader
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AuthRejected, ConfigError, InternalError, SecretError, VsspcError
from vsspc.core.logon import Logon, LogonSettings
from vsspc.core.secret import Credentials, Secret
from vsspc.lab.process import LabProcess

from .shown import everything_in

SENTINEL = "Sentinel-Pa55word!"
GUIDE = Path(__file__).parents[2] / "docs" / "credentials.md"


def secret_file(file: Path, text: str | bytes, mode: int = 0o600) -> Path:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def of_file(file: Path, environment: dict[str, str] | None = None) -> Credentials:
    """The account that such a setting gives."""
    found = logon(LogonSettings(host="h", credentials_file=str(file)), environment or {}).credentials
    assert found is not None
    return found


# ---------------------------------------------------------------- the file


def test_smbclients_form_is_read(tmp_path: Path) -> None:
    text = f"# account\nusername = backup\r\n; password = old\npassword = {SENTINEL}=x\ndomain=EXAMPLE\n"
    account = of_file(secret_file(tmp_path / "credentials", text))
    assert (account.username, account.domain) == ("backup", "EXAMPLE")
    assert account.password.reveal() == f"{SENTINEL}=x"
    assert SENTINEL not in repr(account) + str(account)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o660, 0o644, 0o601, 0o610, 0o777])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    file = secret_file(tmp_path / "credentials", f"username=a\npassword={SENTINEL}\n", mode)
    with pytest.raises(SecretError, match="may be read by others") as caught:
        of_file(file)
    assert f"{mode:04o}" in caught.value.message and "0600" in caught.value.next_step
    assert SENTINEL not in everything_in(caught.value)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = secret_file(tmp_path / "credentials", "username=a\npassword=b\n")
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(SecretError, match="belongs to another user"):
        of_file(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("username=a\n", "no password"),
        (f"password={SENTINEL}\n", "no username"),
        (f"username=\npassword={SENTINEL}\n", "no username"),
        ("username=a\npassword=\n", "no password"),
        ("", "no username and no password"),
        (f"username=a\npassword={SENTINEL}\n".encode() + b"\xff\n", "not UTF-8"),
        (f"username=a\npassword={SENTINEL}\n" + "#" * 20_000, "larger than"),
    ],
)
def test_a_file_that_will_not_do_says_why_and_no_frame_of_the_error_has_the_password(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    with pytest.raises(SecretError, match=words) as caught:
        of_file(secret_file(tmp_path / "credentials", content))
    assert SENTINEL not in everything_in(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "credentials"
    if kind == "folder":
        file.mkdir(mode=0o700)
    elif kind == "fifo":
        os.mkfifo(file, 0o600)
    elif kind == "device":
        file = Path("/dev/zero")
    with pytest.raises(SecretError, match="cannot be read" if kind == "missing" else "not a regular file"):
        of_file(file)


# ---------------------------------------------------------------- systemd, the environment, the keyring


def test_systemds_credential_comes_first_then_the_environment(tmp_path: Path) -> None:
    environment = {"VSSPC_USERNAME": "env", "VSSPC_PASSWORD": SENTINEL, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert of_file(tmp_path / "none", environment).username == "env"
    secret_file(tmp_path / "vsspc", "username=unit\npassword=x\n", 0o400)
    assert of_file(tmp_path / "none", environment).username == "unit"


@pytest.mark.parametrize(
    ("owner", "group", "mode", "folder", "taken"),
    [
        (0, 0, 0o100440, "/run/credentials/backuppc.service", True),
        (0, 0, 0o100440, "/etc/vsspc", False),
        (0, 100, 0o100440, "/run/credentials/backuppc.service", False),
        (1000, 0, 0o100440, "/run/credentials/backuppc.service", False),
        (0, 0, 0o100444, "/run/credentials/backuppc.service", False),
        (0, 0, 0o100460, "/run/credentials/backuppc.service", False),
    ],
)
def test_an_acl_of_systemds_is_no_right_of_others(owner: int, group: int, mode: int, folder: str, taken: bool) -> None:
    facts = os.stat_result((mode, 1, 1, 1, owner, group, 10, 0, 0, 0))
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials/backuppc.service"}
    assert module._is_systemds(f"{folder}/winbox", facts, environment) is taken


@pytest.mark.parametrize("key", ["credentials_file", "keytab", "ccache", "ccache with its type"])
def test_files_may_lie_in_systemds_folder(tmp_path: Path, key: str) -> None:
    secret_file(tmp_path / "winbox", "username=unit\npassword=x\n", 0o400)
    field, _, prefix = key.partition(" ")
    settings = LogonSettings(host="h", **{field: ("FILE:" if prefix else "") + "$CREDENTIALS_DIRECTORY/winbox"})  # type: ignore[arg-type]
    found = logon(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert str(tmp_path / "winbox") in found.account or found.account == "unit"
    with pytest.raises(SecretError, match="no .CREDENTIALS_DIRECTORY"):
        logon(settings, {})


@pytest.mark.parametrize("password", [None, "", "\udcff" + SENTINEL])
def test_an_environment_that_is_half_set_is_refused(tmp_path: Path, password: str | None) -> None:
    environment = {"VSSPC_USERNAME": "env"} | ({} if password is None else {"VSSPC_PASSWORD": password})
    file = secret_file(tmp_path / "credentials", "username=file\npassword=x\n")
    with pytest.raises(SecretError, match="VSSPC_PASSWORD is not") as caught:
        of_file(file, environment)
    assert "Pa55word" not in caught.value.line()


class Keyring(keyring.backend.KeyringBackend):
    """A backend in memory; it fails with the password in its words for the user `broken`."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        if username == "broken":
            raise RuntimeError(f"cannot decode {SENTINEL}")
        return SENTINEL if (service, username) == ("vsspc", "EXAMPLE\\backup") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def own_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("own_keyring")
def test_a_keyring_has_the_password_of_the_user_that_is_configured() -> None:
    found = logon(LogonSettings(host="h", keyring="vsspc", username="EXAMPLE\\backup"), {}).credentials
    assert found is not None and found.account == "EXAMPLE\\backup" and found.password.reveal() == SENTINEL


@pytest.mark.usefixtures("own_keyring")
@pytest.mark.parametrize("username", ["nobody", "broken"])
def test_a_keyring_without_it_says_so_and_nothing_else(username: str) -> None:
    with pytest.raises(SecretError, match=f"no password of {username}") as caught:
        logon(LogonSettings(host="h", keyring="vsspc", username=username), {})
    assert "keyring set vsspc" in caught.value.next_step
    assert SENTINEL not in everything_in(caught.value)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SecretError, match="not installed") as caught:
        logon(LogonSettings(host="h", keyring="vsspc", username="u"), {})
    assert "vsspc[keyring]" in caught.value.next_step


# ---------------------------------------------------------------- per host, per pattern


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], LogonSettings]:
    """What a file with several accounts gives for a host."""
    file = tmp_path / "vsspc.toml"
    file.write_text(
        '[defaults]\ncredentials_file = "/etc/vsspc/all"\n'
        '[host."lab-*"]\ncredentials_file = "/etc/vsspc/lab"\nauth = "ntlm"\n'
        '[host."ad-*"]\nauth = "kerberos"\nkeytab = "/etc/vsspc/keytab"\nprincipal = "b@EXAMPLE.COM"\nname = "*.example.com"\n'
        '[host."ad-3"]\nkeytab = ""\nccache = "/run/vsspc/tickets"\nname = "files.example.com"\n'
        '[host."desk"]\nkeyring = "vsspc"\nusername = "backup"\n',
        "utf-8",
    )
    loaded = reader.load(file)
    return lambda host: loaded.host(host).logon


def test_each_host_and_each_pattern_may_have_an_account_of_its_own(configured: Callable[[str], LogonSettings]) -> None:
    assert (configured("pc").credentials_file, configured("pc").auth) == ("/etc/vsspc/all", "negotiate")
    assert configured("pc").host == "pc"
    assert (configured("lab-7").credentials_file, configured("lab-7").auth) == ("/etc/vsspc/lab", "ntlm")
    assert (configured("ad-1").host, configured("ad-1").keytab) == ("ad-1.example.com", "/etc/vsspc/keytab")
    assert (configured("ad-3").host, configured("ad-3").keytab) == ("files.example.com", "")
    assert configured("ad-3").ccache == "/run/vsspc/tickets"
    assert (configured("desk").keyring, configured("desk").username) == ("vsspc", "backup")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('auth = "ntlm"\nkeytab = "/k"', "takes no tickets"),
        ('auth = "ntlm"\nprincipal = "b@E"', "takes no tickets"),
        ('keytab = "/k"\nccache = "/c"', "not from both"),
        ('keyring = "vsspc"', "go together"),
        ('username = "backup"', "go together"),
        ('auth = "basic"', "auth"),
        ('ccache = "tickets"', "ccache"),
        ('principal = "a b@E"', "principal"),
        ('name = "*.*"', "name"),
        ('name = "a/b"', "name"),
        ('keyring = "a\\nb"\nusername = "x"', "keyring"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(f"[defaults]\n{text}\n", "utf-8")
    with pytest.raises(ConfigError, match=words):
        reader.load(file)


PASSWORD = Credentials("backup", Secret(SENTINEL), "EXAMPLE")


@pytest.mark.parametrize(
    ("settings", "credentials", "tickets", "ntlm"),
    [
        (LogonSettings(host="h"), PASSWORD, False, True),
        (LogonSettings(host="h", auth="ntlm"), PASSWORD, False, True),
        (LogonSettings(host="h", auth="kerberos"), PASSWORD, True, False),
        (LogonSettings(host="h", principal="b@E"), PASSWORD, True, True),
        (LogonSettings(host="h", keytab="/k"), None, True, False),
        (LogonSettings(host="h", ccache="/c", principal="b@E"), None, True, False),
        (LogonSettings(host="h", auth="kerberos", keytab="/k"), None, True, False),
    ],
)
def test_what_the_settings_mean(
    settings: LogonSettings, credentials: Credentials | None, tickets: bool, ntlm: bool
) -> None:
    assert settings.wants_password is (credentials is not None)
    found = Logon.of(settings, credentials)
    assert (found.tickets is not None, found.ntlm) == (tickets, ntlm)


@pytest.mark.parametrize(
    ("username", "domain", "principal"),
    [
        ("backup", "", "backup"),
        ("backup", "EXAMPLE", "backup"),
        ("backup", "example.com", "backup@EXAMPLE.COM"),
        ("example.com\\backup", "", "backup@EXAMPLE.COM"),
        ("backup@EXAMPLE.COM", "", "backup@EXAMPLE.COM"),
    ],
)
def test_an_accounts_realm(username: str, domain: str, principal: str) -> None:
    credentials = Credentials(username, Secret(SENTINEL), domain)
    assert Logon.of(LogonSettings(host="h", auth="kerberos"), credentials).principal == principal


# ---------------------------------------------------------------- forgotten, and not shown


def test_a_wiped_secret_cannot_be_had() -> None:
    secret = Secret(SENTINEL)
    kept = secret._Secret__bytes  # type: ignore[attr-defined]
    secret.wipe()
    secret.wipe()
    assert bytes(kept) == bytes(len(SENTINEL))
    with pytest.raises(InternalError, match="wiped"):
        secret.reveal()
    assert "***" == str(secret) == repr(secret)


def test_a_command_that_is_over_has_wiped_its_password() -> None:
    credentials = Credentials("backup", Secret(SENTINEL))
    factory = PsexecTransportFactory(host="127.0.0.1", port=1, credentials=credentials, clock=SystemClock())
    factory.forget()
    factory.forget()
    with pytest.raises(InternalError, match="wiped"):
        credentials.password.reveal()


@pytest.mark.parametrize("right", [True, False])
def test_nothing_leads_to_the_password_once_it_was_used_and_forgotten(lab: LabProcess, tmp_path: Path, right: bool) -> None:
    password = lab.password if right else SENTINEL
    file = secret_file(tmp_path / "account", f"username={lab.username}\npassword={password}\n")
    file.with_name("account.reversed").write_text(password[::-1], "utf-8")
    command = [sys.executable, "-m", "tests.security.reachable", lab.address, str(lab.smb_port), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        f"{'open' if right else 'AuthRejected'} {{'bytearray': 1}}",  # the Secret itself; smbprotocol has kept nothing
        "forgotten {}",
    ]


def rejected(lab: LabProcess, password: str) -> VsspcError:
    """Log on with a wrong password; return the error."""
    account = Credentials(lab.username, Secret(password))
    factory = PsexecTransportFactory(host=lab.address, port=lab.smb_port, credentials=account, clock=SystemClock())
    with pytest.raises(VsspcError) as caught:
        factory.open(Deadline.after(SystemClock().now(), 20.0, "of the test"))
    return caught.value


def test_a_rejection_shows_no_password_and_says_that_it_is_not_tried_again(lab: LabProcess) -> None:
    # The second is like a pair of hashes, for which pyspnego takes it if it is given as a text.
    for wrong in (SENTINEL, "8ADB9B997580D69E69CAA2BBB68F4697:8ADB9B997580D69E69CAA2BBB68F4697"):
        error = rejected(lab, wrong)
        assert isinstance(error, AuthRejected) and not error.transient and error.again is None
        assert "not tried again" in error.line()
        assert wrong not in everything_in(error)


def test_a_wrong_password_is_tried_once_by_a_whole_command(lab_factory: Callable[..., LabProcess]) -> None:
    lab = lab_factory(options=("--lockout", "2"))  # two wrong passwords lock the account
    lab.configure(retry__connect='{ attempts = 5, wait = "0.1s", cap = "0.1s" }')
    right = lab.credentials.read_text("utf-8")
    vsspc = [str(Path(sys.executable).with_name("vsspc")), "--config", str(lab.config)]
    for text, code in ((f"username={lab.username}\npassword={SENTINEL}\n", AuthRejected.exit_code), (right, 0)):
        lab.credentials.write_text(text, "utf-8")
        command = [*vsspc, "pre", "--client", "winbox", "--host", lab.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout
        assert SENTINEL not in done.stdout + done.stderr


def test_no_variable_of_the_environment_makes_ntlm_an_old_one(lab: LabProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", "0")  # NTLMv1; the lab's Samba takes NTLMv2 only
    account = Credentials(lab.username, Secret(lab.password))
    factory = PsexecTransportFactory(host=lab.address, port=lab.smb_port, credentials=account, clock=SystemClock())
    session = factory.open(Deadline.after(SystemClock().now(), 20.0, "of the test"))
    assert session.security.auth == "NTLM"
    session.close()


# ---------------------------------------------------------------- the guide


BLOCKS = re.findall(r"^```toml\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_guide_shows_what_loads(tmp_path: Path, block: str) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(block, "utf-8")
    loaded = reader.load(file)
    for name in loaded.hosts() or ["pc"]:
        loaded.host(name.replace("*", "x"))


def test_the_guide_has_examples_and_names_tests_that_exist() -> None:
    assert len(BLOCKS) >= 4
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", GUIDE.read_text("utf-8"))
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in Path(__file__).with_name(file).read_text("utf-8"), test
