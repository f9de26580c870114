"""examples/config.pl as BackupPC's own loader reads it, and in the shape that its web editor leaves alone."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

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


def test_every_statement_has_the_shape_that_the_web_editor_keeps() -> None:
    code = [line for line in FRAGMENT.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert code[-1] == "1;"
    for line in code:
        assert re.fullmatch(r"\$Conf\{\w+\} = .*[;{]|\s+'.*'(,| => \[)?|\s+\],?|\};|1;", line), line
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
