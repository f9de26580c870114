"""`vsspc check --settings` on a real BackupPC, run as its user: what it reads there, what it finds, and what it does not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsspc.backuppc.settings import read
from vsspc.core.errors import ConfigError
from vsspc.lab.backuppc import FRAGMENT, SHIMS, fragment, give
from vsspc.lab.backuppc_cgi import Cgi

from .conftest import HOST, Site

VSSPC = Path(sys.executable).with_name("vsspc")


@dataclass(frozen=True, slots=True)
class Checked:
    """What `vsspc check` answered."""

    code: int
    output: str

    def points(self, host: str = HOST) -> dict[str, tuple[str, str, str]]:
        """Return level, words and mend of each point that is not ok, of one host (with --json)."""
        of_host = next(one for one in json.loads(self.output) if one["host"] == host)
        return {
            one["point"]: (one["level"], one["says"], one["mend"])
            for one in of_host["findings"]
            if one["level"] != "ok"
        }


@dataclass(frozen=True, slots=True)
class Server:
    """A BackupPC whose host has the example's settings, and a vsspc for it."""

    site: Site

    @property
    def etc(self) -> Path:
        """The folder of BackupPC's settings."""
        return self.site.backuppc.root / "etc"

    @property
    def file(self) -> Path:
        """The host's own file."""
        return self.etc / f"{HOST}.pl"

    @property
    def programs(self) -> Path:
        """The folder of BackupPC's programs."""
        return self.site.backuppc.root / "share"

    def change(self, old: str, new: str) -> None:
        """Change the host's file as its administrator would."""
        text = self.file.read_text("utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), "utf-8")

    def check(self, *arguments: str, as_caller: bool = False) -> Checked:
        """Run `vsspc check` as BackupPC's user."""
        config = self.site.config / "vsspc.toml"
        prefix = ["/usr/bin/setpriv"] if as_caller else self.site.backuppc.as_user
        command = [*prefix, str(VSSPC), "--config", str(config), "check", "--settings", "--backuppc", str(self.programs), *arguments]
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "VSSPC_BIN": str(self.site.config / "stand-in")}
        done = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        return Checked(done.returncode, done.stdout)

    def points(self) -> dict[str, tuple[str, str, str]]:
        """Return what `vsspc check HOST` finds amiss."""
        return self.check("--json", HOST).points()


@pytest.fixture
def server(site: Site) -> Server:
    (site.config / "vsspc.toml").write_text(f'state_dir = "{site.config}/state"\n[host."{HOST}"]\n')
    (site.config / "state").mkdir()
    give(site.config, site.backuppc.user)
    return Server(site)


def test_the_printed_settings_are_in_order(server: Server) -> None:
    checked = server.check(HOST)
    assert checked.code == 0
    first, *rest = checked.output.splitlines()
    assert first == f"{HOST}: {len(rest)} ok"
    assert all(line.split()[0] == "ok" for line in rest)


def test_a_host_that_was_set_up_by_hand(server: Server) -> None:
    """Every setting is read as BackupPC has it for this host: its own file over config.pl."""
    server.file.write_text(
        "$Conf{XferMethod} = 'rsyncd';\n"
        "$Conf{RsyncShareName} = ['C', 'E'];\n"
        "$Conf{RsyncdPasswd} = 'in-the-clear';\n"
        "$Conf{DumpPreUserCmd} = ['/opt/vsspc/shims/vsspc-pre', '--client', '$client'];\n"
        "$Conf{DumpPostUserCmd} = '/nonexistent/vsspc-post --client $client --host $hostIP --xfer-ok $xferOK';\n"
        "push(@{$Conf{RsyncArgs}}, '--ignore-errors');\n"
        "$Conf{ClientTimeout} = 200000;\n"
        "1;\n"
    )
    self_closed = server.file.stat().st_mode & 0o007
    server.file.chmod(0o644)
    checked = server.check("--json", HOST)
    points = checked.points()
    assert checked.code == 10
    assert not self_closed and {point: level for point, (level, _, _) in points.items()} == {
        "RsyncShareName": "failed",
        "UserCmdCheckStatus": "failed",
        "DumpPreUserCmd": "warning",
        "DumpPreShareCmd": "failed",
        "DumpPostShareCmd": "warning",
        "DumpPostUserCmd": "failed",
        "RestorePreUserCmd": "failed",
        "RsyncdPasswd": "failed",
        "BackupZeroFilesIsFatal": "failed",
        "RsyncArgs": "failed",
        "RsyncRestoreArgs": "warning",
        "ClientTimeout": "warning",
        "passwords": "failed",
    }
    assert "/nonexistent/vsspc-post does not exist" in points["DumpPostUserCmd"][1]
    assert "in-the-clear" not in checked.output
    for line in FRAGMENT.read_text("utf-8").splitlines():
        if line.startswith("$Conf{DumpPost"):
            moved = line.replace("/opt/vsspc/shims", str(SHIMS)).replace(
                "/var/lib/vsspc", f"{server.site.config}/state"
            )
            assert moved in {mend for _, _, mend in points.values()}


def test_the_lines_that_mend_do_mend(server: Server) -> None:
    server.file.write_text("$Conf{ClientNameAlias} = '127.0.0.1';\n1;\n")
    mends = [mend for _, _, mend in server.points().values()]
    server.file.write_text("".join(f"{mend}\n" for mend in mends) + "1;\n")
    assert all(mend.startswith("$Conf{") for mend in mends)
    assert server.points() == {}


def test_a_command_in_the_list_form_and_what_the_web_editor_makes_of_it(server: Server) -> None:
    post = f"'{SHIMS}/vsspc-post --client $client --host $hostIP --xfer-ok $xferOK'"
    server.change(post, f"['{SHIMS}/vsspc-post', '--client', '$client']")
    level, says, mend = server.points()["DumpPostUserCmd"]
    assert level == "warning" and "list form" in says
    cgi = Cgi(server.site.backuppc)
    cgi.save(cgi.editor(HOST))
    level, says, _ = server.points()["DumpPostUserCmd"]
    assert level == "failed" and "damaged" in says
    server.file.write_text(server.file.read_text("utf-8") + mend + "\n")
    assert server.points() == {}


def test_a_file_that_ends_without_a_value_and_one_that_backuppc_refuses_for_it(server: Server) -> None:
    """The web editor appends settings behind the last `1;`, and one that is emptied has no value."""
    cgi = Cgi(server.site.backuppc)
    form = cgi.send(cgi.editor(HOST).filled(newMenu="xfer"), action="editConfig", host=HOST).form("editForm")
    cgi.save(form.ticked("override_RsyncRestoreArgsExtra"))
    assert server.file.read_text("utf-8").endswith("$Conf{RsyncRestoreArgsExtra} = undef;\n")
    assert server.points()[f"{HOST}.pl"][::2] == ("warning", "1;")
    with server.file.open("a") as file:
        file.write("do '/nonexistent' if (-e '/nonexistent');\n")
    assert not server.site.dump().ok
    level, says, _ = server.points()[f"{HOST}.pl"]
    assert level == "failed" and "No such file or directory" in says
    with server.file.open("a") as file:
        file.write("1;\n")
    assert server.points() == {}


def test_a_file_with_an_error_in_it(server: Server) -> None:
    server.file.write_text("$Conf{XferMethod} = ;\n1;\n")
    level, says, _ = server.points()[f"{HOST}.pl"]
    assert level == "failed" and "syntax error" in says


def test_a_password_that_everybody_can_read(server: Server) -> None:
    for name in ("config.pl", "config.pl.old", f"{HOST}.pl.old"):
        file = server.etc / name
        text = file.read_text("utf-8") if file.exists() else ""
        file.write_text(f"$Conf{{SmbSharePasswd}} = 'secret';\n{text}")
        give(file, server.site.backuppc.user)
        file.chmod(0o644)
        level, says, mend = server.points()["passwords"]
        assert level == "failed" and f"{file} has SmbSharePasswd" in says
        assert mend == f"chmod o-rwx {file}"
        file.chmod(0o640)
    assert server.points() == {}


def test_a_hook_that_backuppc_cannot_execute(server: Server) -> None:
    shims = server.site.config / "shims"
    shutil.copytree(SHIMS, shims)
    server.change(f'"{SHIMS}/vsspc-pre"', f'"{shims}/vsspc-pre"')
    assert server.points() == {}
    (shims / "vsspc-pre").chmod(0o644)
    level, says, _ = server.points()["DumpPreUserCmd"]
    assert level == "failed" and f"{shims}/vsspc-pre cannot be executed by this user (mode 0644)" in says


def test_a_path_without_rsync(server: Server) -> None:
    """Debian's config.pl sets PATH itself; without that the hooks have MyPath."""
    config = server.etc / "config.pl"
    text = config.read_text("utf-8")
    assert "$ENV{'PATH'} = '/bin:/usr/bin';" in text and "$Conf{MyPath} = '/bin';" in text
    text = text.replace("$ENV{'PATH'} = '/bin:/usr/bin';", "").replace(
        "$Conf{MyPath} = '/bin';", "$Conf{MyPath} = '/usr/bin';"
    )
    config.write_text(text)
    assert server.points() == {}
    for setting in ("$ENV{PATH}", "$Conf{MyPath}"):
        config.write_text(f"{text}{setting} = '/nonexistent';\n1;\n")
        level, says, _ = server.points()["PATH"]
        assert level == "failed" and "The hooks have /nonexistent" in says


def test_all_hosts_are_those_of_the_configuration_and_those_with_a_hook_of_ours(server: Server) -> None:
    settings = fragment(FRAGMENT.read_text("utf-8"), shims=SHIMS, state_dir=server.site.config / "state")
    server.site.backuppc.add_host("second", settings)
    server.site.backuppc.add_host("linux", "$Conf{XferMethod} = 'tar';\n1;\n")
    with (server.site.config / "vsspc.toml").open("a") as file:
        file.write('[host."planned"]\n[host."lab-*"]\n')
    checked = server.check("--all", "--json")
    assert {one["host"]: one["level"] for one in json.loads(checked.output)} == {
        HOST: "ok",
        "planned": "failed",
        "second": "ok",
    }
    assert checked.code == 10
    assert checked.points("planned")["hosts"][1] == "BackupPC does not know this host: it never dumps it."


def test_one_host_whose_settings_contradict_each_other_does_not_hide_the_others(server: Server) -> None:
    with (server.site.config / "vsspc.toml").open("a") as file:
        file.write('[host."second"]\nrsync_password_file = "/nonexistent/password"\n')
    checked = server.check("--json", HOST, "second")
    assert checked.points() == {}
    level, says, _ = checked.points("second")["vsspc.toml"]
    assert level == "failed" and "/nonexistent/password" in says


def test_hosts_or_all_must_be_named(server: Server) -> None:
    assert server.check().code == 2
    assert server.check("--all", HOST).code == 2


# What is run, by whom, and for how long


def test_root_does_not_run_what_another_user_can_write(server: Server) -> None:
    if os.geteuid() != 0 or server.site.backuppc.user == "root":
        pytest.skip("there is no other user here whose files root could run")
    ran = server.site.config / "ran"
    with (server.etc / "config.pl").open("a") as file:
        # BackupPC's own server may read the file meanwhile, as its user.
        file.write(f"open(my $f, '>', '{ran}') if ($> == 0);\n1;\n")
    shutil.rmtree(server.site.config / "state")  # which tells it before
    os.makedirs(server.site.config / "state")
    refused = server.check(HOST, as_caller=True)
    assert refused.code == 10
    assert len(refused.output.splitlines()) == 1
    assert "can be written by others than root: root must not run it. Run vsspc as BackupPC's user" in refused.output
    assert not ran.exists()


def test_root_looks_at_each_file_and_folder_before_it_runs_anything(server: Server) -> None:
    if os.geteuid() != 0:
        pytest.skip("this is about root")
    root, user, config = server.site.backuppc.root, server.site.backuppc.user, server.etc / "config.pl"
    server.site.backuppc.stop()
    config.write_text(config.read_text("utf-8").replace(f"BackupPCUser}} = '{user}'", "BackupPCUser} = 'root'"))
    for path in (root, *root.rglob("*")):
        os.lchown(path, 0, 0)
    assert read(server.programs, [HOST]).hosts[HOST].conf["XferMethod"] == "rsyncd"
    for what in ("etc/config.pl", f"etc/{HOST}.pl", "etc", "share/lib/BackupPC/Lib.pm", "share/lib"):
        path, mode = root / what, (root / what).stat().st_mode
        for owner, bits in ((0, 0o020), (0, 0o002), (65534, 0)):
            os.chown(path, owner, 0)
            path.chmod(mode | bits)
            with pytest.raises(ConfigError, match=f"{path} can be written by others than root"):
                read(server.programs, [HOST])
        os.chown(path, 0, 0)
        path.chmod(mode)
    assert read(server.programs, [HOST]).hosts[HOST].problem is None


def test_another_user_than_backuppcs_is_told_so(server: Server) -> None:
    config = server.etc / "config.pl"
    config.write_text(config.read_text("utf-8") + "$Conf{BackupPCUser} = 'daemon';\n1;\n")
    refused = server.check(HOST)
    assert refused.code == 10
    assert "BackupPC runs as daemon, and this is " in refused.output
    assert "sudo -u daemon" in refused.output
    assert not (server.etc / "LOCK").exists() or server.site.backuppc.server_pid is not None


def test_settings_that_hang_flood_or_fail_are_told_in_one_line(server: Server) -> None:
    config = server.etc / "config.pl"
    text = config.read_text("utf-8")
    for line, bound, says in (
        ("system('sleep 1000 &'); sleep(1) while (1);", "seconds=2", "could not be read in 2 s"),
        ("$Conf{ClientComment} = 'x' x 200000;", "most=100000", "are too large"),
        ("exit(0);", "", "perl gave no answer"),
        ("print(STDOUT 'not JSON'); print(STDERR 'nor this'); die('of its own');", "", "of its own"),
        ("$Conf{Language} = 'xx';", "", "Couldn't open language file"),
    ):
        config.write_text(f"{text}\n{line}\n1;\n")
        program = (
            "from pathlib import Path; from vsspc.backuppc.settings import read; from vsspc.core.errors import ConfigError\n"
            f"try: read(Path({str(server.programs)!r}), [{HOST!r}], {bound})\n"
            "except ConfigError as error: print(error.line())\n"
        )
        command = [*server.site.backuppc.as_user, sys.executable, "-c", program]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=True)
        assert says in done.stdout and done.stdout.count("\n") == 1, done.stdout
        assert not running(str(server.programs))


def running(argument: str, within: float = 5.0) -> set[str]:
    """Return the processes that have an argument and live; wait a little for those that were killed to be gone."""
    deadline = time.monotonic() + within
    while True:
        found = set()
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if argument.encode() in entry.read_bytes().split(b"\0"):
                    found.add(entry.parent.name)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_what_settings_print_is_not_taken_for_an_answer(server: Server) -> None:
    server.change("1;\n", "print('{\"problem\": null}'); print(STDERR 'x'); system('echo y');\n1;\n")
    assert server.points() == {}


def test_without_a_backuppc(server: Server, tmp_path: Path) -> None:
    refused = server.check(HOST, "--backuppc", "/nonexistent")
    assert refused.code == 10 and "there is no BackupPC in /nonexistent" in refused.output
