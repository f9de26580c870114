"""`vsspc check`: each point where it is in order, and each way in which it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from vsspc.backuppc.check import check
from vsspc.backuppc.fragment import RESTORE_ARGUMENTS, Paths, hooks, statement
from vsspc.backuppc.settings import BackupPC, HostFile
from vsspc.core.findings import Finding, Level
from vsspc.core.secret import Secret
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume

HOST = HostSettings(host="winbox", address="192.0.2.1")
PATHS = Paths()
HOOKS = hooks(PATHS)
SECRET = "fixed-password-of-the-host"
FIXED = replace(HOST, rsync_port=10873, rsync_password=Secret(SECRET))
PLAIN = {
    "DumpPreUserCmd": "/opt/vsspc/shims/vsspc-pre --client $client --host $hostIP --type $type",
    "DumpPreShareCmd": None,
    "RsyncdClientPort": 10873,
    "RsyncdUserName": "backuppc",
    "RsyncdPasswd": SECRET,
}
RESTORES = {"RsyncRestoreArgs": list(RESTORE_ARGUMENTS)}
CONF: Mapping[str, object] = {
    "XferMethod": "rsyncd",
    "RsyncShareName": ["C"],
    "UserCmdCheckStatus": 1,
    **HOOKS,
    "RsyncdPasswd": "",
    "BackupZeroFilesIsFatal": 1,
    "RsyncArgs": ["--super", "--delete"],
    "RsyncArgsExtra": [],
    "RsyncFullArgsExtra": ["--checksum"],
    "RsyncIncrArgsExtra": [],
    "RsyncRestoreArgs": None,
    "RsyncRestoreArgsExtra": [],
    "ClientTimeout": 72000,
}
FILE = HostFile(Path("/etc/backuppc/winbox.pl"), there=True, problem=None, defined=True, conf=CONF)


@dataclass
class Facts:
    """A server where everything is in order, but for what is said."""

    lacking: frozenset[str] = frozenset()
    broken: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, list[str]] = field(default_factory=dict)
    modes: str = ""

    def unreadable(self, path: str) -> str:
        return self.broken.get(path, "")

    def not_executable(self, path: str) -> str:
        return self.broken.get(path, "")

    def found(self, program: str, path: str) -> bool:
        assert path == "/bin:/usr/bin"
        return program not in self.lacking

    def secrets_for_all(self, path: str) -> list[str]:
        return self.shown.get(path, [])

    def loses_modes(self, folder: str) -> str:
        assert folder == "/var/lib/backuppc"
        return self.modes


def found(
    conf: Mapping[str, object] | None = None,
    *,
    host: HostSettings = HOST,
    facts: Facts | None = None,
    file: HostFile = FILE,
    known: tuple[str, ...] = ("localhost", "winbox"),
) -> list[Finding]:
    """Check the host with some of BackupPC's settings, or facts, other than they should be."""
    file = replace(file, conf={**CONF, **(conf or {})})
    backuppc = BackupPC(
        config=Path("/etc/backuppc/config.pl"),
        user="backuppc",
        path="/bin:/usr/bin",
        top_dir=Path("/var/lib/backuppc"),
        known=known,
        hosts={host.host: file},
    )
    return check(host, PATHS, backuppc, facts or Facts())


def the_only(findings: list[Finding]) -> Finding:
    """Return the one finding that is not in order."""
    bad = [one for one in findings if one.level is not Level.OK]
    assert len(bad) == 1, bad
    return bad[0]


def test_what_vsspc_prints_is_in_order_at_every_point() -> None:
    findings = found()
    assert [(one.level, one.mend) for one in findings] == [(Level.OK, "")] * len(findings)
    points = [one.point for one in findings]
    assert len(set(points)) == len(points)
    assert points[:2] == ["hosts", "winbox.pl"] and set(HOOKS) < set(points)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(replace(HOST, volumes=(Volume("C:"), Volume("D:"))), id="two volumes"),
        pytest.param(replace(HOST, restore="volume"), id="restores"),
        pytest.param(replace(HOST, max_ttl=3600.0), id="a short run"),
    ],
)
def test_what_is_printed_for_other_settings_is_in_order_too(host: HostSettings) -> None:
    conf: dict[str, object] = {"RsyncShareName": [volume.module for volume in host.volumes]}
    conf |= RESTORES if host.restore != "off" else {}
    conf |= {"ClientTimeout": int(host.max_ttl)} if host.max_ttl < 72000 else {}
    assert {one.level for one in found(conf, host=host)} == {Level.OK}


def test_values_as_the_web_editor_writes_them_are_in_order() -> None:
    conf = {"UserCmdCheckStatus": "1", "BackupZeroFilesIsFatal": "1", "ClientTimeout": "72000", "RsyncShareName": "C"}
    assert {one.level for one in found(conf)} == {Level.OK}


def test_the_plain_commands_are_in_order_where_port_and_password_are_fixed() -> None:
    findings = found(PLAIN, host=FIXED)
    assert {one.level for one in findings} == {Level.OK}
    assert any("a Stop meanwhile counts after the transfer only" in one.says for one in findings)


def test_a_share_that_is_mapped_to_a_module_is_in_order() -> None:
    conf = {"RsyncShareName": ["system"], "ClientShareName2Path": {"system": "C/Users"}}
    assert {one.level for one in found(conf)} == {Level.OK}


@pytest.mark.parametrize("value", [0, "0", "", None])
def test_hooks_whose_failure_does_not_count(value: object) -> None:
    one = the_only(found({"UserCmdCheckStatus": value}))
    assert (one.point, one.level) == ("UserCmdCheckStatus", Level.FAILED)
    assert one.mend == "$Conf{UserCmdCheckStatus} = 1;"


@pytest.mark.parametrize(
    ("conf", "host", "point", "level", "says"),
    [
        pytest.param({"XferMethod": "smb"}, HOST, "XferMethod", Level.FAILED, "smb does not read", id="method"),
        pytest.param(
            {"BackupZeroFilesIsFatal": 0}, HOST, "BackupZeroFilesIsFatal", Level.FAILED, "no file", id="zero files"
        ),
        pytest.param(
            {"RsyncShareName": ["C", "X"]}, HOST, "RsyncShareName", Level.FAILED, "served as X", id="strange share"
        ),
        pytest.param(
            {"RsyncShareName": ["c"]}, HOST, "RsyncShareName", Level.FAILED, "served as c", id="case of a share"
        ),
        pytest.param({"RsyncShareName": []}, HOST, "RsyncShareName", Level.FAILED, "served as none", id="no share"),
        pytest.param(
            {"ClientShareName2Path": {"C": "D"}},
            HOST,
            "RsyncShareName",
            Level.FAILED,
            "served as C",
            id="share mapped away",
        ),
        pytest.param(
            {},
            replace(HOST, volumes=(Volume("C:"), Volume("D:"))),
            "RsyncShareName",
            Level.WARNING,
            "D: is in the shadow copy, and in no share",
            id="volume without a share",
        ),
        *(
            pytest.param({name: ["--ignore-errors"]}, HOST, name, Level.FAILED, "deleted from the backup", id=name)
            for name in ("RsyncArgs", "RsyncArgsExtra", "RsyncFullArgsExtra", "RsyncIncrArgsExtra")
        ),
        pytest.param({**RESTORES}, HOST, "RsyncRestoreArgs", Level.WARNING, "vsspc refuses it", id="restores offered"),
        pytest.param(
            {}, replace(HOST, restore="folder"), "RsyncRestoreArgs", Level.WARNING, "hides direct restores", id="hidden"
        ),
        pytest.param(
            {"RsyncRestoreArgs": ["--recursive", "--delete"]},
            replace(HOST, restore="volume"),
            "RsyncRestoreArgs",
            Level.FAILED,
            "loses what the backup does not have",
            id="restores that delete",
        ),
        pytest.param(
            {"RsyncRestoreArgs": ["--recursive", "--super", "--owner"]},
            replace(HOST, restore="volume"),
            "RsyncRestoreArgs",
            Level.WARNING,
            "--super --owner: rsync on Windows",
            id="restores that change owners",
        ),
        pytest.param(
            {},
            replace(HOST, max_ttl=3600.0),
            "ClientTimeout",
            Level.WARNING,
            "the host ends its run after 3600 s",
            id="ttl",
        ),
        pytest.param(
            {"RsyncdPasswd": "a"}, HOST, "RsyncdPasswd", Level.WARNING, "A password stands here", id="password"
        ),
        pytest.param(
            {**PLAIN, "RsyncdPasswd": "other"},
            FIXED,
            "RsyncdPasswd",
            Level.FAILED,
            "It is not the password",
            id="another one",
        ),
        pytest.param({**PLAIN, "RsyncdClientPort": 873}, FIXED, "RsyncdPasswd", Level.FAILED, "goes to 873", id="port"),
        pytest.param(
            {**PLAIN, "RsyncdUserName": ""}, FIXED, "RsyncdPasswd", Level.FAILED, "BackupPC is nobody", id="user"
        ),
    ],
)
def test_a_setting_that_is_not_as_it_should_be(
    conf: Mapping[str, object], host: HostSettings, point: str, level: Level, says: str
) -> None:
    one = the_only(found(conf, host=host))
    assert (one.point, one.level) == (point, level)
    assert says in one.says
    assert one.mend.startswith("$Conf{") and one.mend.endswith(";")
    assert "other" not in one.says + one.mend and SECRET not in one.says + one.mend


def test_owners_that_are_taken_back_by_the_extra_arguments_do_no_harm() -> None:
    conf = {"RsyncRestoreArgs": ["--super", "--owner"], "RsyncRestoreArgsExtra": ["--no-super", "--no-owner"]}
    assert {one.level for one in found(conf, host=replace(HOST, restore="volume"))} == {Level.OK}


@pytest.mark.parametrize("name", sorted(HOOKS))
@pytest.mark.parametrize(
    ("value", "level", "says"),
    [
        (["/opt/vsspc/shims/vsspc-pre", "--client", "$client"], Level.WARNING, "list form"),
        ("ARRAY(0x55da3c0e8a48)", Level.FAILED, "damaged"),
        ("&{sub { $? = 0 }}", Level.WARNING, "Perl of somebody else's"),
        ("&{sub { VSSPC::something }}", Level.WARNING, "in another form"),
        (
            '&{sub { $? = 256; require "/opt/vsspc/shims/VSSPC.pm"; VSSPC::x($bpc, $args[0]) }}',
            Level.FAILED,
            "VSSPC::x, which",
        ),
        ("/usr/local/bin/mine $client", Level.WARNING, "It runs /usr/local/bin/mine"),
        ("/opt/vsspc/shims/vsspc-other $client", Level.WARNING, "not known"),
    ],
)
def test_a_hook_that_is_not_what_vsspc_prints(name: str, value: object, level: Level, says: str) -> None:
    # Where the session is not loaded, port and password are another finding.
    host = FIXED if name == "DumpPreShareCmd" else HOST
    conf = {**PLAIN, "DumpPreUserCmd": HOOKS["DumpPreUserCmd"]} if name == "DumpPreShareCmd" else {}
    findings = {one.point: one for one in found({**conf, name: value}, host=host)}
    one = findings.pop(name)
    assert (one.level, one.mend) == (level, statement(name, HOOKS[name]))
    assert says in one.says
    assert {other.level for other in findings.values()} <= {Level.OK} | (
        {Level.FAILED} if "PreShare" in name else set()
    )


@pytest.mark.parametrize(
    ("name", "conf", "host", "level", "says"),
    [
        ("DumpPreUserCmd", {}, HOST, Level.FAILED, "no shadow copy is made"),
        ("DumpPostUserCmd", {}, HOST, Level.FAILED, "nothing takes the run down"),
        ("DumpPreShareCmd", {}, HOST, Level.FAILED, "does not get the port and the password"),
        (
            "DumpPreShareCmd",
            {},
            replace(HOST, rsync_port=10873),
            Level.FAILED,
            "does not get the port and the password",
        ),
        ("DumpPreShareCmd", PLAIN, FIXED, Level.OK, "fixed"),
        ("DumpPostShareCmd", {}, HOST, Level.WARNING, "lost most of its files"),
        ("DumpPostShareCmd", {}, replace(HOST, shrink_warning=1.0), Level.OK, "not needed"),
        ("RestorePreUserCmd", {}, HOST, Level.WARNING, "not refused"),
        ("RestorePreUserCmd", RESTORES, replace(HOST, restore="volume"), Level.FAILED, "whatever answers"),
        ("RestorePostUserCmd", {}, HOST, Level.OK, "not needed"),
        ("RestorePostUserCmd", RESTORES, replace(HOST, restore="folder"), Level.FAILED, "stays served"),
    ],
)
@pytest.mark.parametrize("empty", [None, ""])
def test_a_hook_that_is_not_set(
    name: str, conf: Mapping[str, object], host: HostSettings, level: Level, says: str, empty: object
) -> None:
    one = next(one for one in found({**conf, name: empty}, host=host) if one.point == name)
    assert one.level is level and says in one.says


def test_without_the_loaded_session_port_and_password_must_be_fixed() -> None:
    for host, lacking in ((HOST, "rsync_password_file"), (replace(FIXED, rsync_port=None), "fixed rsync_port")):
        one = next(one for one in found({"DumpPreShareCmd": None}, host=host) if one.point == "RsyncdPasswd")
        assert one.level is Level.FAILED and lacking in one.says
        assert one.mend == statement("DumpPreShareCmd", HOOKS["DumpPreShareCmd"])


@pytest.mark.parametrize("name", ["DumpPreUserCmd", "DumpPreShareCmd", "RestorePreUserCmd"])
def test_a_hook_that_fails_open(name: str) -> None:
    one = the_only(found({name: HOOKS[name].replace("$? = 256; ", "")}))
    assert (one.point, one.level) == (name, Level.FAILED)
    assert "BackupPC goes on when VSSPC.pm is missing" in one.says


@pytest.mark.parametrize("name", ["DumpPreShareCmd", "DumpPostShareCmd", "RestorePreUserCmd"])
def test_a_hook_that_looks_for_sessions_elsewhere(name: str) -> None:
    one = the_only(found({name: HOOKS[name].replace("/var/lib/vsspc", "/srv/state")}))
    assert (one.point, one.level) == (name, Level.FAILED)
    assert "in /srv/state; state_dir in /etc/vsspc/vsspc.toml is /var/lib/vsspc" in one.says


def test_a_hook_with_a_path_too_few() -> None:
    one = the_only(found({"RestorePreUserCmd": HOOKS["RestorePreUserCmd"].replace(', "/var/lib/vsspc"', "")}))
    assert "It has 1 paths for VSSPC::restore, which takes 2." in one.says


def test_more_arguments_are_for_a_shim_only() -> None:
    told = HOOKS["DumpPreUserCmd"].replace('")', '", "--set", "engine=wmi")')
    assert all(one.level is Level.OK for one in found({"DumpPreUserCmd": told}))
    one = the_only(found({"DumpPreShareCmd": HOOKS["DumpPreShareCmd"].replace('")', '", "--set")')}))
    assert "It has 2 paths for VSSPC::load, which takes 1." in one.says


def test_a_hook_for_another_setting() -> None:
    one = the_only(found({"DumpPreUserCmd": HOOKS["DumpPostUserCmd"]}))
    assert one.level is Level.FAILED and "vsspc-post, which is for another setting" in one.says


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("DumpPostUserCmd", "--client $client"),
        ("DumpPostUserCmd", "--host $hostIP"),
        ("DumpPostUserCmd", "--xfer-ok $xferOK"),
        ("RestorePostUserCmd", "--xfer-ok $xferOK"),
    ],
)
def test_a_hook_without_an_argument(name: str, lacking: str) -> None:
    one = the_only(found({name: HOOKS[name].replace(f" {lacking}", "")}))
    assert one.level is Level.FAILED and one.says == f"It lacks {lacking}."


def test_a_hook_may_have_the_hosts_name_for_its_address_and_more_arguments() -> None:
    command = (
        "/opt/vsspc/shims/vsspc-post --client $client --host $host --xfer-ok $xferOK --set retry.release.attempts=3"
    )
    assert {one.level for one in found({"DumpPostUserCmd": command})} == {Level.OK}


def test_a_plain_restore_hook_needs_a_fixed_port_and_password() -> None:
    command = "/opt/vsspc/shims/vsspc-restore-pre --client $client --host $hostIP --share $share"
    conf = {**RESTORES, "RestorePreUserCmd": command}
    one = the_only(found(conf, host=replace(HOST, restore="volume")))
    assert one.level is Level.FAILED and "the restore does not get the port" in one.says
    assert {one.level for one in found({**PLAIN, **conf}, host=replace(FIXED, restore="volume"))} == {Level.OK}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/opt/vsspc/shims/VSSPC.pm", {"DumpPreUserCmd", "DumpPreShareCmd", "DumpPostShareCmd", "RestorePreUserCmd"}),
        ("/opt/vsspc/shims/vsspc-pre", {"DumpPreUserCmd"}),
        ("/opt/vsspc/shims/vsspc-post", {"DumpPostUserCmd"}),
        ("/opt/vsspc/shims/vsspc-restore-pre", {"RestorePreUserCmd"}),
        ("/opt/vsspc/shims/vsspc-restore-post", {"RestorePostUserCmd"}),
    ],
)
def test_a_hook_that_backuppc_cannot_run(path: str, names: set[str]) -> None:
    bad = [one for one in found(facts=Facts(broken={path: f"{path} does not exist"})) if one.level is not Level.OK]
    assert {one.point for one in bad} == names
    for one in bad:
        assert one.level is Level.FAILED and f"{path} does not exist" in one.says


def test_a_path_without_rsync() -> None:
    one = the_only(found(facts=Facts(lacking=frozenset({"rsync"}))))
    assert (one.point, one.level, one.mend) == ("PATH", Level.FAILED, "$ENV{PATH} = '/bin:/usr/bin';")


def test_a_file_system_that_keeps_no_modes() -> None:
    one = the_only(found(facts=Facts(modes="a file of mode 0400 has the mode 0755 in /var/lib/backuppc")))
    assert (one.point, one.level) == ("TopDir", Level.FAILED)
    assert "has the mode 0755" in one.says


@pytest.mark.parametrize(
    "path", [f"/etc/backuppc/{name}{end}" for name in ("config.pl", "winbox.pl") for end in ("", ".old")]
)
def test_a_password_that_everybody_can_read(path: str) -> None:
    one = the_only(found(facts=Facts(shown={path: ["RsyncdPasswd", "SmbSharePasswd"]})))
    assert (one.point, one.level) == ("passwords", Level.FAILED)
    assert f"{path} has RsyncdPasswd, SmbSharePasswd" in one.says
    assert one.mend == f"chmod o-rwx {path}"


def test_a_host_that_backuppc_does_not_know() -> None:
    one = the_only(found(known=("localhost",)))
    assert (one.point, one.level, one.mend) == ("hosts", Level.FAILED, "winbox 0 backuppc")


def test_a_host_whose_name_backuppc_writes_small() -> None:
    one = the_only(found(host=replace(HOST, host="WinBox")))
    assert (one.point, one.level, one.mend) == ("hosts", Level.FAILED, '[host."winbox"]')


def test_a_file_that_backuppc_cannot_read_hides_the_rest() -> None:
    file = replace(FILE, problem="syntax error at line 3")
    findings = found(file=file)
    assert [one.point for one in findings] == ["hosts", "winbox.pl"]
    assert findings[1].level is Level.FAILED and "syntax error at line 3" in findings[1].says


def test_a_file_that_ends_without_a_value() -> None:
    one = the_only(found(file=replace(FILE, defined=False)))
    assert (one.point, one.level, one.mend) == ("winbox.pl", Level.WARNING, "1;")


def test_a_host_without_a_file() -> None:
    one = the_only(found(file=replace(FILE, there=False)))
    assert (one.point, one.level) == ("winbox.pl", Level.WARNING)
    assert one.mend == "vsspc backuppc winbox >/etc/backuppc/winbox.pl"
