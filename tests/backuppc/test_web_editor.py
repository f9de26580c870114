"""BackupPC's own web editor on the settings that vsspc prints: what they mean survives, and dumps stay good.

Driven as an administrator does it in a browser: open the page, change fields, press Save. Between two saves the editor
reads what it wrote itself.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from vsspc.backuppc.fragment import RESTORE_ARGUMENTS, Paths, fragment, hooks
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume
from vsspc.lab.backuppc import SHIMS
from vsspc.lab.backuppc_cgi import Cgi, Form

from .conftest import HOST, Site

READ = r"""
use lib "$ARGV[0]/share/lib"; use JSON::PP; use BackupPC::Storage::Text;
my $text = bless({ConfDir => "$ARGV[0]/etc", TopDir => "$ARGV[0]/top"}, 'BackupPC::Storage::Text');
my ($problem, $conf) = $text->ConfigDataRead($ARGV[1]);
print(encode_json({problem => $problem, conf => $conf}));
"""

SECOND_VOLUME = r"""
mkdir -p "$config/second"
echo 'on D' >"$config/second/there.txt"
echo 'kept out by the list for any other share' >"$config/second/pagefile.sys"
printf '[D]\npath = %s\nread only = yes\nauth users = vsspc\nsecrets file = %s\n' "$config/second" "$config/secrets" \
    >>"$config/rsyncd.conf"
"""


class Editor:
    """The editor's pages of one host."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cgi = Cgi(site.backuppc)
        self.file = site.backuppc.root / "etc" / f"{HOST}.pl"

    def means(self) -> dict[str, object]:
        """Return what BackupPC reads from the host's file."""
        command = ["/usr/bin/perl", "-e", READ, str(self.site.backuppc.root), HOST]
        answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
        assert answer["problem"] is None
        conf = answer["conf"]
        assert isinstance(conf, dict)
        return {name: _plain(value) for name, value in conf.items() if name != "BackupPCNightlyPeriod"}

    def open(self, menu: str = "xfer") -> Form:
        """Open the editor on one of its pages."""
        return self.press(self.cgi.editor(HOST).filled(newMenu=menu))

    def press(self, form: Form) -> Form:
        """Press a button that is not Save: the page comes back changed."""
        return self.cgi.send(form, action="editConfig", host=HOST).form("editForm")

    def save(self, form: Form) -> None:
        """Press Save, which must not complain."""
        page = self.cgi.save(form)
        assert not re.search('class="editError">[^<]', page.html), page.text

    def comments(self) -> list[str]:
        """Return the comments of the host's file."""
        return [line for line in self.file.read_text("utf-8").splitlines() if line.startswith("#")]


def _plain(value: object) -> object:
    """Return a value without the differences between 1 and '1', and between X and [X], which BackupPC does not mind."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return str(value) if isinstance(value, int) else value


@pytest.fixture
def editor(site: Site) -> Editor:
    (site.volume / "letter.txt").write_text("content")
    (site.volume / "pagefile.sys").write_text("excluded")
    site.configure(ClientNameAlias=["127.0.0.1"])
    return Editor(site)


def assert_dump_is_good(site: Site, number: int, into: Path) -> None:
    dump = site.dump(full=False)
    assert dump.ok, dump.xferlog + dump.pc_log
    assert site.backed_up(number, into) == {"letter.txt": b"content"}
    assert "is served on port" in dump.xferlog  # the password was loaded for this run


def test_a_save_changes_no_meaning_nor_comment_and_a_second_one_changes_nothing(editor: Editor, tmp_path: Path) -> None:
    meant, commented = editor.means(), editor.comments()
    editor.save(editor.open("backup"))
    once = editor.file.read_bytes()
    assert (editor.means(), editor.comments()) == (meant, commented)
    assert editor.means()["DumpPreUserCmd"] == hooks_of(editor)["DumpPreUserCmd"]
    assert_dump_is_good(editor.site, 0, tmp_path / "first")

    editor.save(editor.open("xfer"))
    assert editor.file.read_bytes() == once
    assert_dump_is_good(editor.site, 1, tmp_path / "second")


def test_another_setting_is_changed_and_ours_stay(editor: Editor, tmp_path: Path) -> None:
    meant, commented = editor.means(), editor.comments()
    form = editor.open("schedule").ticked("override_FullPeriod").filled(v_zZ_FullPeriod="13.97")
    editor.save(form)
    assert editor.means() == {**meant, "FullPeriod": "13.97"}
    assert editor.comments() == commented
    assert_dump_is_good(editor.site, 0, tmp_path / "dump")


def test_a_share_that_the_administrator_adds_is_dumped_without_what_is_excluded_everywhere(
    editor: Editor, tmp_path: Path
) -> None:
    meant = editor.means()
    form = editor.open("xfer")
    form = editor.press(form.filled(addVar="RsyncShareName", modified="1")).filled(v_zZ_RsyncShareName_zZ_1="D")
    editor.save(form)
    assert editor.means() == {**meant, "RsyncShareName": ["C", "D"]}
    (editor.site.config / "spoil").write_text(SECOND_VOLUME)
    assert_dump_is_good(editor.site, 0, tmp_path / "c")
    into = tmp_path / "d"
    editor.site.backuppc.extract(HOST, 0, "D", into)
    assert {file.name: file.read_text() for file in into.iterdir()} == {"there.txt": "on D\n"}


def test_an_exclude_is_added_and_one_taken_away(editor: Editor, tmp_path: Path) -> None:
    """The lists are what an administrator edits most: by hand in the page, entry by entry."""
    meant = editor.means()
    excludes = meant["BackupFilesExclude"]
    assert isinstance(excludes, dict)
    form = editor.open("xfer")
    shares = {form.fields[f"v_flds_BackupFilesExclude_zZ_{number}"]: number for number in range(len(excludes))}
    number = shares["C"]
    last = len(excludes["C"])
    form = editor.press(form.filled(addVar=f"BackupFilesExclude_zZ_{number}", modified="1"))
    form = form.filled(**{f"v_zZ_BackupFilesExclude_zZ_{number}_zZ_{last}": "/Scratch/"})
    form = editor.press(form.filled(deleteVar=f"BackupFilesExclude_zZ_{number}_zZ_0", modified="1"))
    editor.save(form)
    assert editor.means() == {**meant, "BackupFilesExclude": {**excludes, "C": [*excludes["C"][1:], "/Scratch/"]}}
    (editor.site.volume / "Scratch").mkdir()
    (editor.site.volume / "Scratch" / "file").write_text("excluded now")
    (editor.site.volume / "pagefile.sys").unlink()
    assert_dump_is_good(editor.site, 0, tmp_path / "dump")


def test_restores_stay_hidden_and_refused(editor: Editor) -> None:
    editor.save(editor.open("xfer"))
    assert editor.means()["RsyncRestoreArgs"] is None
    assert editor.means()["RestorePreUserCmd"] == hooks_of(editor)["RestorePreUserCmd"]


def test_restores_volumes_port_and_timeout_of_a_host_survive_two_saves(editor: Editor) -> None:
    volumes = (Volume("C:"), Volume("D:"), Volume("C:\\Mounts\\Data"))
    host = HostSettings(host=HOST, address="x", volumes=volumes, rsync_port=10873, restore="volume", max_ttl=3600.0)
    editor.site.configure(fragment(host, Paths()), ClientNameAlias=["127.0.0.1"])
    meant = editor.means()
    assert meant["RsyncRestoreArgs"] == list(RESTORE_ARGUMENTS)
    for menu in ("xfer", "backup"):
        editor.save(editor.open(menu))
        assert editor.means() == meant


def hooks_of(editor: Editor) -> Mapping[str, str]:
    """Return the hooks as they were printed for the host."""
    return hooks(Paths(SHIMS, editor.site.config / "state"))
