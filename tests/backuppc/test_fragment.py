"""examples/config.pl, and what `vsspc backuppc HOST` prints, as BackupPC's own loader reads them, and perl."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from vsspc.backuppc.excludes import excludes
from vsspc.backuppc.fragment import RESTORE_ARGUMENTS, Paths, hooks
from vsspc.backuppc.fragment import fragment as printed
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume
from vsspc.lab.backuppc import FRAGMENT, PROGRAMS, fragment, perl

READ = r"""
use lib '/usr/share/backuppc/lib'; use JSON::PP; use BackupPC::Storage::Text;
our %Conf;
my $text = bless({}, 'BackupPC::Storage::Text');
sub BackupPC::Storage::Text::ConfigPath { $ARGV[0] }
my ($problem, $conf) = $text->ConfigDataRead('winbox', {});
print(encode_json({problem => $problem, conf => $conf}));
"""


def read(file: Path) -> dict[str, object]:
    """Read a host's settings with BackupPC's own code."""
    assert PROGRAMS.exists()
    run = subprocess.run(["/usr/bin/perl", "-e", READ, str(file)], capture_output=True, check=True, timeout=20)
    answer = json.loads(run.stdout)
    assert not answer["problem"]
    conf = answer["conf"]
    assert isinstance(conf, dict)
    return conf


def test_backuppc_reads_the_example() -> None:
    conf = read(FRAGMENT)
    assert conf["XferMethod"] == "rsyncd"
    assert conf["UserCmdCheckStatus"] == 1
    assert conf["BackupZeroFilesIsFatal"] == 1
    assert conf["RsyncdPasswd"] == ""
    assert conf["RsyncRestoreArgs"] is None
    commands = {key: value for key, value in conf.items() if key.endswith("Cmd")}
    dump = {"DumpPreUserCmd", "DumpPreShareCmd", "DumpPostShareCmd", "DumpPostUserCmd"}
    assert set(commands) == dump | {"RestorePreUserCmd", "RestorePostUserCmd"}
    for command in commands.values():
        assert isinstance(command, str)  # the web editor destroys the list form
        assert "/opt/vsspc/shims/" in command


OF_MANY_SETTINGS = HostSettings(
    host="winbox",
    address="192.0.2.1",
    volumes=(Volume("C:"), Volume("D:"), Volume("C:\\Mounts\\Data")),
    rsync_port=10873,
    restore="folder",
    max_ttl=3600.0,
)


def test_backuppc_reads_what_is_printed_for_a_host(tmp_path: Path) -> None:
    paths = Paths(Path("/srv/vsspc/shims"), Path("/srv/vsspc/state"))
    file = tmp_path / "winbox.pl"
    file.write_text(printed(OF_MANY_SETTINGS, paths))
    conf = read(file)
    assert conf["RsyncShareName"] == ["C", "D", "C_Mounts_Data"]
    assert conf["RsyncdClientPort"] == 10873
    assert conf["ClientTimeout"] == 3600
    assert conf["RsyncRestoreArgs"] == list(RESTORE_ARGUMENTS)
    assert {name: conf[name] for name in hooks(paths)} == hooks(paths)
    assert conf["BackupFilesExclude"] == {
        share: list(some) for share, some in excludes(OF_MANY_SETTINGS.volumes).items()
    }


@pytest.mark.parametrize(
    "text", [FRAGMENT.read_text("utf-8"), printed(OF_MANY_SETTINGS, Paths())], ids=["example", "host"]
)
def test_perl_finds_nothing_to_say(text: str, tmp_path: Path) -> None:
    file = tmp_path / "winbox.pl"
    file.write_text("use strict; use warnings; our %Conf;\n" + text)
    check = subprocess.run(["/usr/bin/perl", "-c", str(file)], capture_output=True, text=True, timeout=20, check=False)
    assert check.stderr == f"{file} syntax OK\n"


@pytest.mark.parametrize(
    "text", [FRAGMENT.read_text("utf-8"), printed(OF_MANY_SETTINGS, Paths())], ids=["example", "host"]
)
def test_every_statement_has_the_shape_that_the_web_editor_keeps(text: str) -> None:
    code = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert code[-1] == "1;"
    for line in code:
        assert re.fullmatch(r"\$Conf\{\w+\} = .*[;{[]|\s+'.*'(,| => \[)?|\s+\],?|[}\]];|1;", line), line
        assert not re.search(r";\s*#", line)
    settings = re.findall(r"^\$Conf\{(\w+)\}", "\n".join(code), flags=re.MULTILINE)
    assert len(settings) == len(set(settings))


def test_a_fragment_with_moved_paths_and_more_settings_is_read(tmp_path: Path) -> None:
    text = fragment(
        FRAGMENT.read_text(encoding="utf-8"),
        shims=Path("/srv/shims"),
        state_dir=Path("/srv/state"),
        ClientNameAlias="127.1.2.3",
        RsyncShareName=["C", "it's \\ D"],
        ClientTimeout=12,
        BackupFilesExclude={"*": ["/x"]},
        RsyncRestoreArgsExtra=None,
    )
    file = tmp_path / "winbox.pl"
    file.write_text(text)
    conf = read(file)
    assert conf["ClientNameAlias"] == "127.1.2.3"
    assert conf["RsyncShareName"] == ["C", "it's \\ D"]
    assert conf["ClientTimeout"] == 12
    assert conf["BackupFilesExclude"] == {"*": ["/x"]}
    assert conf["RsyncRestoreArgsExtra"] is None
    assert conf["DumpPostUserCmd"] == "/srv/shims/vsspc-post --client $client --host $hostIP --xfer-ok $xferOK"
    assert '"/srv/shims/VSSPC.pm"' in str(conf["DumpPreShareCmd"])
    assert '"/srv/state"' in str(conf["DumpPreShareCmd"])
    assert "/opt/vsspc" not in text.replace("/etc/vsspc", "")


def test_a_fragment_without_the_paths_is_refused() -> None:
    with pytest.raises(ValueError, match="does not mention"):
        fragment("$Conf{X} = 1;\n1;\n", shims=Path("/srv"), state_dir=Path("/srv"))


def test_perl_literals() -> None:
    assert perl("it's \\") == "'it\\'s \\\\'"
    assert perl(["a", "b"]) == "['a', 'b']"
    assert perl(None) == "undef"
