"""cmd.exe on a host: what batch files print, and the errorlevel they end with."""

from __future__ import annotations

import pytest

from tests.unit.lab_model.conftest import Script, crlf
from vsspc.lab.process import LabProcess


@pytest.mark.parametrize(
    ("text", "code", "printed"),
    [
        ("echo a b ", 0, "a b \n"),
        ("echo.\necho.x", 0, "\nx\n"),
        ("exit /b 7", 7, ""),
        ("exit 8", 8, ""),
        ("call :sub a \"b c\"\necho back %errorlevel%\nexit /b 3\n:sub\necho %1 %~2\nexit /b 5", 3, "a b c\nback 5\n"),
        ("goto there\necho no\n:there\necho yes", 0, "yes\n"),
        ("call :sub\nexit /b %errorlevel%\n:sub\nexit /b 6", 6, ""),
        ("set x=1\nif %x%==1 (\nset x=2\necho %x%\n)\necho %x%", 0, "1\n2\n"),
        ("set /a t=0\n:loop\nset /a t+=1\nif not %t%==5 goto loop\necho %t%", 0, "5\n"),
        ("set /a ticks=33\nset /a beat=ticks %% 16\necho %beat%", 0, "1\n"),
        ("for %%L in (A C D) do if exist %%L:\\ echo used=%%L:\\", 0, "used=C:\\\nused=D:\\\n"),
        ("for /l %%i in (3,-1,1) do echo %%i", 0, "3\n2\n1\n"),
        ("nonesuch.exe\necho %errorlevel%", 9009,
         ("'nonesuch.exe' is not recognized as an internal or external command,\n"
         "operable program or batch file.\n9009\n")),
        ("C:\\none\\x.exe\necho %errorlevel%", 3, "The system cannot find the path specified.\n3\n"),
        ("hostname && echo yes || echo no", 0, "LABHOST\nyes \n"),
        ("find \"x\" C:\\nothing >nul || echo no", 1, "no\n"),
        ("rd C:\\nothing 2>nul\necho %errorlevel%", 0, "0\n"),
        ("rd C:\\nothing 2>nul || echo seen", 2, "seen\n"),
        ("hostname x>nul & find \"q\" nul >nul\ndel C:\\nothing 2>nul\necho %errorlevel%", 0, "0\n"),
        ("type C:\\nothing", 1, "The system cannot find the file specified.\n"),
        ("type C:\\none\\x", 1, "The system cannot find the path specified.\n"),
        ("echo x >C:\\none\\x", 1, "The system cannot find the path specified.\n"),
        ("echo x >Q:\\x\necho %errorlevel%", 1, "The system cannot find the path specified.\n1\n"),
        ("setlocal\nset S=%SystemRoot%\\System32\n\"%S%\\whoami.exe\"", 0, "nt authority\\system\n"),
        ("set rc=%errorlevel%\nexit /b %rc%", 0, ""),
        ("if exist C:\\windows\\ (echo folder) else (echo none)\nif exist C:\\Windows\\win.ini\\ echo file", 0, "folder\n"),
        ("goto nowhere\necho no", 1, "The system cannot find the batch label specified - nowhere\n"),
        ("if x\necho not reached", 255, None),
        ("dir | sort\necho not reached", 255, None),
        ("exit /b -1073741819", 3221225477, ""),
        ("call echo %%SystemDrive%%", 0, "C:\n"),
        ("set \"az=b c\"\nset az", 0, "az=b c\n"),
        ("shift\necho [%1]", 0, "[]\n"),
        ("cd /d C:\\Windows\\System32\ncd ..\ncd", 0, "C:\\Windows\n"),
        ("set /a n=1/0\necho %errorlevel%", 1073750993, "Divide by zero error.\n1073750993\n"),
    ],
)  # fmt: skip
def test_a_batch_file_ends_and_prints_as_on_windows(script: Script, text: str, code: int, printed: str | None) -> None:
    ended, output = script(text)

    assert ended == code
    if printed is not None:
        assert output == printed
    else:
        assert "not reached" not in output


def test_a_redirection_before_the_command_keeps_a_digit_out_of_the_handles(script: Script, bare_lab: LabProcess) -> None:
    script("cd /d C:\\Windows\\Temp\nset rc=1\n>good.txt echo %rc%\necho %rc%>bad.txt")

    assert bare_lab.read("C:\\Windows\\Temp\\good.txt") == b"1\r\n"
    assert bare_lab.read("C:\\Windows\\Temp\\bad.txt") == b"ECHO is off.\r\n"


def test_files_are_made_renamed_copied_and_deleted(script: Script, bare_lab: LabProcess) -> None:
    code, printed = script(
        """
cd /d C:\\Windows\\Temp
md "a b\\c"
>"a b\\c\\one.tmp" echo one
>>"a b\\c\\one.tmp" echo two
ren "a b\\c\\one.tmp" one.rc
ren "a b\\c\\one.rc" one.rc
copy /y "a b\\c\\one.rc" "a b\\two.txt" >nul
ren "a b\\two.txt" c
echo %errorlevel%
type "A B\\C\\ONE.RC"
del /f /q "a b\\c\\*.rc"
if exist "a b\\c\\one.rc" echo still there
rd "a b"
rd /s /q "a b"
if not exist "a b" echo gone
"""
    )

    assert code == 0
    assert printed == (
        "A duplicate file name exists, or the file\ncannot be found.\n1\n"
        "one\ntwo\nThe directory is not empty.\ngone\n"
    )


def test_the_hosts_own_share_is_its_drive_and_no_other_hosts(script: Script, bare_lab: LabProcess) -> None:
    own, other = r"\\%COMPUTERNAME%\C$\own.txt", r"\\elsewhere\C$\other.txt"
    assert script(f">{own} echo here\n>{other} echo there\nif exist {own} exit /b 7")[0] == 7
    assert bare_lab.read("C:\\own.txt") == b"here\r\n"
    assert not (bare_lab.volume() / "other.txt").exists()


def test_rd_never_follows_a_link(script: Script, bare_lab: LabProcess) -> None:
    keep = bare_lab.volume("D:") / "keep"
    keep.mkdir()
    (keep / "precious.txt").write_bytes(b"x")
    tree = bare_lab.volume() / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(keep)
    script("rd /s /q C:\\tree")

    assert not tree.exists()
    assert (keep / "precious.txt").exists()


def test_what_cmd_has_open_cannot_be_deleted_nor_a_current_folder_removed(script: Script) -> None:
    code, printed = script(
        """
md C:\\Windows\\Temp\\busy
cd /d C:\\Windows\\Temp\\busy
call :inner >log.out
type log.out
rd C:\\Windows\\Temp\\busy 2>nul
cd ..
del /q busy\\log.out
rd busy
if not exist busy echo gone
exit /b 0
:inner
del /f /q log.out
echo second 2>nul >log.out
exit /b 0
"""
    )

    assert code == 0
    assert printed.count("being used by another process") == 2
    assert printed.endswith("gone\n")


def test_a_running_program_cannot_be_deleted(script: Script, bare_lab: LabProcess) -> None:
    rsync = (bare_lab.bundle / "dosdev.exe").read_bytes().replace(b":dosdev", b":svchost")
    (bare_lab.volume() / "Windows" / "Temp" / "busy.exe").write_bytes(rsync)
    (bare_lab.volume() / "Windows" / "Temp" / "start.cmd").write_bytes(crlf("C:\\Windows\\Temp\\busy.exe"))
    bare_lab.tell("launch", executable="cmd.exe", arguments="/d /c C:\\Windows\\Temp\\start.cmd")
    bare_lab.events.wait_for("process-start", image="C:\\Windows\\Temp\\busy.exe")
    _, printed = script(
        """
cd /d C:\\Windows\\Temp
del /f /q busy.exe
if exist busy.exe echo still there
"%SystemRoot%\\System32\\taskkill.exe" /f /t /im busy.exe >nul 2>&1
echo %errorlevel%
"%SystemRoot%\\System32\\taskkill.exe" /f /t /im busy.exe >nul 2>&1
echo %errorlevel%
del /f /q busy.exe
if not exist busy.exe echo gone
"""
    )

    assert printed == "C:\\Windows\\Temp\\busy.exe\nAccess is denied.\nstill there\n0\n128\ngone\n"


def test_a_batch_file_that_deletes_its_folder_goes_on_to_the_end_of_its_line_only(bare_lab: LabProcess) -> None:
    folder = bare_lab.volume() / "Windows" / "gone"
    folder.mkdir()
    (folder / "a.cmd").write_bytes(crlf('@echo off\ncd /d C:\\\nrd /s /q "C:\\Windows\\gone" & exit'))
    assert bare_lab.run('call "C:\\Windows\\gone\\a.cmd"') == 0
    assert not folder.exists()

    folder.mkdir()
    (folder / "a.cmd").write_bytes(crlf('@echo off\ncd /d C:\\\nrd /s /q "C:\\Windows\\gone"\n>C:\\never.txt echo x'))
    assert bare_lab.run('call "C:\\Windows\\gone\\a.cmd"') == 1
    assert not (bare_lab.volume() / "never.txt").exists()


def test_echo_is_on_until_it_is_off(script: Script) -> None:
    _, printed = script("SET A=1\n@echo off\nSET B=2", echo=True)

    assert printed == "\nC:\\Windows\\System32>SET A=1\n"


def test_a_script_with_bare_line_feeds_is_noticed(script: Script, bare_lab: LabProcess) -> None:
    script("", data=b"@echo off\necho x\n")

    assert bare_lab.events.all("script-not-crlf")


def test_a_line_that_is_too_long_fails(script: Script) -> None:
    code, printed = script("echo " + "x" * 8200)

    assert code == 1
    assert printed == "The input line is too long.\n"


def test_unsupported_things_are_logged(script: Script, bare_lab: LabProcess) -> None:
    script("for /f %%a in (x) do echo %%a")

    assert bare_lab.events.all("cmd-unsupported", text="for /f")
