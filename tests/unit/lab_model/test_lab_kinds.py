"""Kinds of hosts: editions, languages, builds of vshadow, a firewall that is not ours to open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import LabFactory
from tests.unit.lab_model.conftest import crlf
from vsspc.lab.languages import LANGUAGES
from vsspc.lab.process import LabProcess

S = "%SystemRoot%\\System32"
TALK = rf"""
{S}\vssadmin.exe list shadows
{S}\netsh.exe advfirewall firewall delete rule name=none
{S}\taskkill.exe /f /im none.exe
{S}\tasklist.exe /fi "pid eq 1" /fo csv /nh
{S}\icacls.exe C:\Windows
type none.txt
none.exe
md C:\Windows
"""
CODES = "\n".join(
    f"{command}\necho %errorlevel%"
    for command in (
        rf"{S}\vssadmin.exe list shadows",
        rf"{S}\netsh.exe advfirewall firewall delete rule name=none",
        rf"{S}\taskkill.exe /f /im none.exe",
        rf'{S}\tasklist.exe /fi "pid eq 1" /fo csv /nh',
    )
)


def run(lab: LabProcess, text: str) -> tuple[int, bytes]:
    """Run a batch file: exit code and the bytes that it printed."""
    folder = lab.volume() / "Windows" / "Temp"
    (folder / "t.cmd").write_bytes(crlf(f"@echo off\n{text}"))
    code = lab.run("call C:\\Windows\\Temp\\t.cmd >C:\\Windows\\Temp\\t.out 2>&1")
    return code, (folder / "t.out").read_bytes()


@pytest.mark.parametrize(
    ("language", "code_page", "expected"),
    [
        ("german", "cp850", ("Volumeschattenkopie-Dienstes", "keine Regeln", "FEHLER: Der Prozess \"none.exe\"",
                             "angegebenen Kriterien ausgeführt", "Das System kann die angegebene Datei nicht finden",
                             'Der Befehl "none.exe"')),
        ("japanese", "cp932", ("シャドウ コピー サービス", "規則はありません", "見つかりませんでした",
                               "実行されていません", "指定されたファイルが見つかりません", "'none.exe' は")),
    ],
)  # fmt: skip
def test_windows_speaks_its_language_in_the_bytes_of_its_code_page(
    lab_factory: LabFactory, language: str, code_page: str, expected: tuple[str, ...]
) -> None:
    lab = lab_factory(options=("--no-samba", "--language", language))
    _, data = run(lab, TALK)

    text = data.decode(code_page)
    for piece in expected:
        assert piece in text
    assert not re.search("No rules|The system cannot|is not recognized|ERROR|INFO:", text)
    assert b"2\r\n" in run(lab, "%SystemRoot%\\System32\\find.exe \"x\" none.txt\necho 2")[1]


def test_exit_codes_are_the_same_in_every_language(lab_factory: LabFactory) -> None:
    codes = set()
    for language in LANGUAGES:
        lab = lab_factory(options=("--no-samba", "--language", language))
        codes.add(tuple(re.findall(rb"(?m)^(\d+)\r$", run(lab, CODES)[1])))
        assert b"{" in run(lab, f"{S}\\vssadmin.exe list writers")[1]
        planted = lab.plant("shadow", letter="C:")
        listed = run(lab, f"{S}\\vssadmin.exe list shadows")[1]
        assert planted.encode() in listed
        assert b"\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1\r\n" in listed
    assert len(codes) == 1


def test_what_a_script_echoes_stays_as_its_bytes_are(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--no-samba", "--language", "german"))
    folder = lab.volume() / "Windows" / "Temp"
    (folder / "t.cmd").write_bytes(b"@echo off\r\necho \x84\xe4\r\n")
    lab.run("call C:\\Windows\\Temp\\t.cmd >C:\\Windows\\Temp\\t.out")

    assert (folder / "t.out").read_bytes() == b"\x84\xe4\r\n"


def test_templates_are_whole() -> None:
    for language in LANGUAGES.values():
        for template, text in language.texts.items():
            assert text.count("{}") <= template.count("{}"), template
            text.encode(language.code_page)


def test_a_client_edition_has_no_diskshadow(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--no-samba", "--edition", "client"))
    code, data = run(lab, f"if not exist {S}\\diskshadow.exe echo none\n{S}\\diskshadow.exe /s x.dsh")

    assert data.startswith(b"none\r\n")
    assert code == 9009
    assert lab.description["edition"] == "client"


@pytest.mark.parametrize(
    ("build", "machine", "code", "expected"),
    [
        ("full", 0x8664, 0, b"Snapshot creation done."),
        ("sample", 0x8664, 1, b"ERROR: invalid parameter '-nw'"),
        ("32bit", 0x14C, 2, b"- Returned HRESULT = 0x8000ffff"),
    ],
)
def test_a_bundle_has_the_vshadow_that_somebody_found(
    lab_factory: LabFactory, build: str, machine: int, code: int, expected: bytes
) -> None:
    lab = lab_factory(options=("--no-samba", "--vshadow", build))
    program = (lab.bundle / "vshadow.exe").read_bytes()
    header = int.from_bytes(program[0x3C:0x40], "little")
    (lab.volume() / "Windows" / "Temp" / "vshadow.exe").write_bytes(program)
    ended, data = run(lab, "C:\\Windows\\Temp\\vshadow.exe -nw C:")

    assert program[header : header + 4] == b"PE\0\0"
    assert int.from_bytes(program[header + 4 : header + 6], "little") == machine
    assert ended == code
    assert expected in data


def test_a_group_policy_lets_no_local_rule_work(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--no-samba",))
    lab.inject("group-policy-firewall")
    temp = lab.volume() / "Windows" / "Temp"
    for name in ("rsync.exe", "cygwin1.dll"):
        (temp / name).write_bytes((lab.bundle / name).read_bytes())
    (temp / "r.conf").write_text(f"port = {lab.rsync_port}\n")
    add = f"{S}\\netsh.exe advfirewall firewall add rule name=x dir=in action=allow protocol=TCP localport={lab.rsync_port}"
    assert run(lab, add) == (0, b"Ok.\r\n\r\n")
    arguments = "--daemon --no-detach --config=/cygdrive/c/Windows/Temp/r.conf"
    lab.tell("launch", executable="C:\\Windows\\Temp\\rsync.exe", arguments=arguments)

    lab.events.wait_for("firewall-blocks", port=lab.rsync_port)


def test_a_letter_of_a_logon_session_is_seen_by_it_alone(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--no-samba",))
    lab.plant("letter", letter="B:", target="\\Device\\HarddiskVolume1", account="backup")

    assert run(lab, "if not exist B:\\ exit /b 3")[0] == 3
    assert lab.tell("run", arguments="/d /c if exist B:\\Windows exit 4", account="backup") == 4


def test_the_host_is_described_with_its_folders(lab_factory: LabFactory) -> None:
    lab = lab_factory(volumes=("C:", "C:\\Mounts\\Data", "E:=fat32"), options=("--no-samba",))

    assert list(lab.description["volumes"]) == ["C:", "C:\\Mounts\\Data", "E:"]
    assert 'volumes = ["C:", "C:\\\\Mounts\\\\Data", "E:"]' in lab.config.read_text()
    assert Path(lab.description["volumes"]["C:\\Mounts\\Data"]).is_dir()
