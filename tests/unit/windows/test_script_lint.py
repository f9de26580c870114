r"""A lint of every command script that we render: it means the same in Windows' cmd and in Wine's, in every language.

What Wine's cmd gets wrong (`&&`, `||`, the exit code of `call FILE`) and lacks (`timeout`, `findstr`, `mklink`, …) was
measured; see docs/testing.md. Words are counted too: each must be on a list of cmd's own words, of our programs'
switches, or of our own vocabulary, so that no text that Windows translates is ever looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsspc.core.words import Mapping as Mapped
from vsspc.core.words import ShadowCopy, Volume
from vsspc.windows import scripts
from vsspc.windows.names import Names
from vsspc.windows.scripts import Way

LONGEST = 8191
"""Characters of a line that cmd.exe takes (Microsoft, "Command prompt line string limitation")."""
LARGEST = 2**31 - 1
"""cmd's numbers are signed 32-bit ones (`help set`)."""

TRIES = re.compile(r"for %%N in \([1-9 ]+\) do \([^&()]+ & if exist [^&()]+\)")
"""Something tried several times: the one block that Wine's cmd runs as Windows' does."""
FORBIDDEN = re.compile(
    r"\b(?:timeout|findstr|mklink|wmic|vssadmin|diskshadow|cscript|wscript|where|choice|subst|schtasks|reg|wevtutil"
    r"|systeminfo|whoami|sort|setlocal\s+enable\w+)\b|!\w+!",
    re.IGNORECASE,
)
"""Absent, empty or wrong in Wine; removed from Windows; or in need of an expansion that we keep off."""
ALLOWED = (
    r'mklink /D "[A-Z]:\\[^"&|<>^%]+\\vsspc-[0-9a-f]{12}\\vol" \\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d+\\$',
    r'mklink /D "[A-Z]:\\vsspc-[0-9a-f]{12}\\vol" \\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d+\\$',
    r'^"%SystemRoot%\\System32\\vssadmin\.exe" list shadows >devices\.txt$',
    r'^"%SystemRoot%\\System32\\vssadmin\.exe" list shadowstorage$',
    r'^"%SystemRoot%\\System32\\vssadmin\.exe" list writers$',
    r'^"%SystemRoot%\\System32\\reg\.exe" query "HKLM\\SOFTWARE\\[^"%]+" /v [A-Za-z0-9-]+$',
    r'^"%SystemRoot%\\System32\\diskshadow\.exe" /s hold\.dsh$',
    r'^if exist "%SystemRoot%\\System32\\diskshadow\.exe" echo diskshadow=there$',
    r'^"%SystemRoot%\\System32\\reg\.exe" query HKLM\\SYSTEM\\MountedDevices$',
)
"""The only lines in which some of these stand after all. mklink's fails in Wine, and its exit code says so."""
PROGRAMS = {"certutil", "diskshadow", "vssadmin", "reg", "icacls", "fsutil", "ping", "netstat", "find", "taskkill", "tasklist", "netsh", "powershell", "sc"}
STANDARD = {"systemroot", "errorlevel", "processor_architecture", "processor_architew6432"}
"""The variables that are set in every cmd.exe; the last one only for 32-bit programs."""
GIVEN = re.compile(r"vss_shadow_set|vsspc_[1-9]\d*|making")
"""What diskshadow sets for the holder, and `settle` for what it calls."""
CODES = {
    value: name
    for name, value in vars(scripts).items()
    if isinstance(value, int) and re.fullmatch(r"[A-Z_]+_(?:FAILED|MISSING|MAPPED|SWITCH|LINK|OPEN|CHANGED)", name)
}
"""Our own exit codes, as vsspc.windows.scripts names them."""

VOCABULARY = {
    "cmd": "echo off setlocal cd d call if exist not errorlevel else for in do goto exit b set a geq equ md rd s q del f"
    " ren nul mklink D copy move b y dir",
    "icacls, fsutil, taskkill, tasklist": "inheritance r grant setowner l fsinfo drives reparsepoint t im fi"
    " imagename eq fo csv nh",
    "netsh": "advfirewall firewall add delete rule name dir action allow protocol TCP localport remoteip profile any"
    " program",
    "certutil, find": "hashfile SHA v",
    "reg, vssadmin, diskshadow": "query list shadows shadowstorage s writers v LocalAccountTokenFilterPolicy",
    "sc": "stop delete",
    "powershell.exe": "NoProfile NonInteractive ExecutionPolicy Bypass OutputFormat Text File Command",
    "vshadow, dosdev, rsync, ping, netstat": "nw wx script exec e daemon no detach config n",
    "ours": "main watch end stop stopping expired held idle ticks beat rc ours used SystemRoot mapping gone marker L N"
    " architecture there diskshadow missing copy job map serve hold making vshadow certutil works vsspc made folder parent target"
    " changed file section filter asr language markers survey bin etc",
}
"""Every word that a script may have outside of names and paths, by whose it is; all are the same in every language."""
WORDS = frozenset(" ".join(VOCABULARY.values()).split())
_NAMES = (
    r'"[^"]*[\\.:][^"]*"',  # quoted paths, and what find looks for (its own rule is below)
    r'"(?:[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{2}(?: [0-9a-f]{2}){31})"',
    r"\b(?:kept=[0-9a-f]{64}|staged=[A-Za-z0-9_.+-]+)$",
    r"%~dp0",
    r"%\w+%",
    r"-wx=\{[0-9a-f-]{36}\}",
    r"\b(?:missing|marker)=[A-Z]:\S*(?: \S+)*$",
    r"architecture=WOW64",
    r'"-nw"',
    r'"pid eq \d+"',
    r"\bhold\.dsh\b",
    r"(?<![\w.])\S*\\\S*",  # paths
    r"\b\w+\.(?:cmd|exe|txt|tmp|out|rc|json|ps1|conf|secrets)\b",
    r"/cygdrive/\S+",
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
    r"\*S-1-5-[\d-]+(?::(?:\([A-Z]+\))*[A-Z]+)?",
    r"\b[A-Z]:(?=\s|$|\))",
    r"remoteip=\S+",
    r"\b(?:vsspc|vshadow)-[0-9a-f]{12}(?:-[0-9a-f]{4})?\b",
    r"echo [0-9a-f]{12,}$",
    r"\([A-Z](?: [A-Z]){25}\)",
)


def faults(text: str) -> list[str]:
    """Return what is wrong with a script, each with its line number; an empty list when nothing is."""
    found = [f"0: {fault}" for fault in _faults_of_file(text)]
    lines = text.split("\r\n")
    labels = {line[1:].lower() for line in lines if re.fullmatch(r":\w+", line)}
    variables = STANDARD | {name.lower() for name in re.findall(r"(?m)^set (?:/a )?(\w+)[+]?=", text)}
    lost = False  # whether errorlevel is what a `call FILE` left there
    for number, line in enumerate(lines, 1):
        found += [f"{number}: {fault}" for fault in _faults_of_line(line, labels, variables)]
        if lost and re.search(r"errorlevel|^exit /b$", line, re.IGNORECASE):
            found.append(f"{number}: the exit code of `call FILE` is lost in Wine")
        if re.search(r"\bcall (?!:)", line, re.IGNORECASE):
            lost = True
        elif re.match(r'"%SystemRoot%|bin\\|call :|mklink ', line):
            lost = False
    return found


def _faults_of_file(text: str) -> Iterator[str]:
    if not text.isascii() or re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", text):
        yield "characters that are not printable ASCII"
    if not text.endswith("\r\n") or text.count("\n") != text.count("\r\n") or text.count("\r") != text.count("\r\n"):
        yield "lines that do not end with CRLF"
    if not text.startswith("@echo off\r\n"):
        yield "no @echo off"
    last = text.split("\r\n")[-2] if "\r\n" in text else text
    if not re.fullmatch(r"exit /b (?:\d+|%\w+%)", last) and not last.endswith("& exit"):
        yield "its end has no exit code of its own"


def _faults_of_line(line: str, labels: set[str], variables: set[str]) -> Iterator[str]:
    if len(line) > LONGEST:
        yield f"{len(line)} characters"
    if line.count('"') % 2:
        yield "an odd number of quotes"
    bare = re.sub(r'"[^"]*"', '""', line)
    if "&&" in line or "||" in line:
        yield "&& and || run both sides in Wine"
    elif re.search(r"[&|^]", re.sub(r"2>&1", "", bare)) and not (line.endswith("& exit") or TRIES.fullmatch(line)):
        yield "an operator: one command a line"
    if bare.count("(") != bare.count(")"):
        yield "a block over several lines"
    allowed = any(re.search(pattern, line) for pattern in ALLOWED)
    if not allowed and (match := FORBIDDEN.search(_without_paths(line))):
        yield f"{match[0]} is not to be used"
    for match in re.finditer(rf"\b({'|'.join(PROGRAMS)})(\.exe)?\b(?![.=])", _without_paths(line), re.IGNORECASE):
        if not (match[2] and _without_paths(line)[: match.start()].endswith("\\")):
            yield f"{match[0]} without its full path"
    if re.search(r"echo\s+[^>\r\n]*\d>", line):
        yield "a digit before > is a handle"
    if re.search(r'>(?!&1|nul\b|[a-z]+\.(?:tmp|out|txt)\b|expired\b|stopping\b|"[^"]+"| ?%)', re.sub(r">>", ">", line)):
        yield "a redirection to something else than our files"
    yield from _faults_of_flow(line, labels)
    yield from _faults_of_variables(line, variables)
    for word in re.findall(r"[A-Za-z]+", _without_names(line)):
        if word not in WORDS:
            yield f"the word {word}"


def _faults_of_flow(line: str, labels: set[str]) -> Iterator[str]:
    for label in re.findall(r"\b(?:goto|call) :?(\w+)(?!\S)", line):
        if label.lower() not in labels:
            yield f"there is no label {label}"
    for code in re.findall(r"\bexit /b\b ?(\S*)", line):
        if not code:
            yield "exit /b without a code"
        elif code.isdigit() and int(code) and int(code) not in CODES:
            yield f"vsspc.windows.scripts does not document the exit code {code}"
    if re.search(r"\bexit(?! /b)\b", line) and not line.endswith("& exit"):
        yield "exit ends more than the script"
    for number in re.findall(r"\d+", re.sub(r"[0-9a-f]{12,64}", "", line)) if re.match(r"if %|set /a", line) else ():
        if int(number) > LARGEST:
            yield f"{number} is no 32-bit number"
    if re.search(r'find\.exe" "(?!:\d+ "|[0-9a-f]{12}"|[0-9a-f]{64}"|[0-9a-f]{2}(?: [0-9a-f]{2}){31}"|-nw" usage\.txt >nul$|:\(" open\.txt >nul$)', line):
        yield "find looks for a text"


def _faults_of_variables(line: str, variables: set[str]) -> Iterator[str]:
    rest = re.sub(r"%~dp0|%%[A-Z](?![A-Za-z])|%% ", "", line)
    for name in re.findall(r"%(\w+)%", rest):
        if name.lower() not in variables and not GIVEN.fullmatch(name.lower()):
            yield f"nothing sets %{name}%"
    if "%" in re.sub(r"%\w+%", "", rest):
        yield "a lone %"


def _without_paths(line: str) -> str:
    """Return a line without addresses, the volumes of a run, and what lies below them: folders may have any name."""
    line = re.sub(r"remoteip=\S+", "", line)
    line = re.sub(r'"[A-Z]:[^"]*"', '""', line)
    return re.sub(r"\b(?:missing|marker)=.*$|(?<!\S)[A-Z]:\\\S+", "", line)


def _without_names(line: str) -> str:
    for pattern in _NAMES:
        line = re.sub(pattern, " ", line)
    return line


DIGEST = "0123456789abcdef" * 4


def rendered(
    run: str,
    copies: list[ShadowCopy],
    drives: str,
    *,
    nonce: str,
    port: int,
    max_ttl: float,
    idle_ttl: float,
    client: str,
    system_root: str,
    exclude: list[str],
) -> Mapping[str, str]:
    """Return every script that vsspc.windows.scripts makes of these parameters, by name."""
    names, volumes = Names(run), [copy.volume for copy in copies]
    makings = {
        "vshadow": replace(
            scripts.vshadow(names, volumes, writers=False, exclude=exclude),
            programs={rf"bin\{names.requester_image}": DIGEST},
        ),
        "vshadow with writers": scripts.vshadow(names, volumes, writers=True, exclude=exclude),
        "diskshadow": scripts.diskshadow(volumes),
        "wmi": replace(scripts.shadowcopy(), programs={"shadowcopy.ps1": DIGEST}),
        "live": scripts.live(),
        "restoring": scripts.restoring(rf"{volumes[0].name}\Restored Files", rf"{volumes[0].name}\Restored Files\{run}"),
    }
    roots = [volume.name for volume in volumes]
    made = {
        "prepare": scripts.prepare(volumes),
        "settle": scripts.settle(),
        "discard": scripts.discard(),
        "storage": scripts.storage(),
        "survey": scripts.survey(volumes),
        "writers": scripts.writers(),
        "keep": scripts.keep([DIGEST, DIGEST[::-1]]),
        "stage": scripts.stage({names.daemon_image: DIGEST, "cygstdc++-6.dll": DIGEST[::-1]}),
    }
    for name, making in makings.items():
        made[f"release, {name}"] = scripts.release(names, roots, making)
        made[f"hold, {name}"] = scripts.hold(names, roots, nonce, making, names.service("00ff"))
        made[f"held, {name}"] = scripts.held(
            names, roots, nonce, making, ports=[port, 20000], max_ttl=max_ttl, idle_ttl=idle_ttl
        )
    letters = [Mapped(copy, f"{drive}:") for copy, drive in zip(copies, drives, strict=True)]
    links = [Mapped(copy, names.link(copy.volume.name)) for copy in copies]
    tried = [(way, links if way is Way.LINK else letters) for way in Way]
    for way, mappings in tried:
        made[f"map, {way.name}"] = scripts.map_job(
            names, way, mappings, programs={r"bin\dosdev.exe": DIGEST}, again=way is not Way.DOSDEV
        )
        made[f"unmap, {way.name}"] = scripts.unmap(names, [(way, mappings)])
    made["unmap, all"] = scripts.unmap(names, tried)
    for firewall, again in ((True, False), (True, True), (False, False)):
        made[f"serve, firewall={firewall}, again={again}"] = scripts.serve(
            names,
            system_root=system_root,
            port=port,
            client=client,
            firewall=firewall,
            programs={rf"bin\{names.daemon_image}": DIGEST, r"bin\cygwin1.dll": DIGEST[::-1]},
            again=again,
        )
    return made


def copied(volumes: Iterable[str], number: int) -> list[ShadowCopy]:
    """Return shadow copies that are numbered from `number` on."""
    device = r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy"
    return [ShadowCopy(Volume(name), f"{{{n:036d}}}", f"{device}{n}") for n, name in enumerate(volumes, number)]


PLAIN = rendered(
    "0123456789ab",
    copied(["C:", "D:", r"C:\Mounts\SQL Server"], 3),
    "BVU",
    nonce="0123456789ab",
    port=10873,
    max_ttl=86400,
    idle_ttl=3600,
    client="192.0.2.1",
    system_root=r"C:\Windows",
    exclude=["{e8132975-6f93-4464-a53e-1050253ae220}"],
)


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN.keys())
def test_a_script_is_in_order(text: str) -> None:
    assert faults(text) == []


HEX = st.text("0123456789abcdef", min_size=12, max_size=12)
FOLDERS = st.lists(st.from_regex(r"[A-Za-z0-9_-]([A-Za-z0-9 _.-]{0,10}[A-Za-z0-9_-])?", fullmatch=True), max_size=3)
LETTERS = st.permutations("BCDEFGHIJKLMNOPQRSTUVWXYZ").flatmap(
    lambda letters: st.integers(1, 12).map(lambda count: ("".join(letters[:count]), "".join(letters[12 : 12 + count])))
)
TTL = st.floats(0.5, 30 * 86400.0)
CLIENTS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
WRITERS = st.lists(st.uuids().map(lambda one: f"{{{one}}}"), max_size=3)


@settings(max_examples=20, deadline=None)
@given(run=HEX, nonce=HEX, letters=LETTERS, folder=FOLDERS, number=st.integers(1, 999_999_000),
       port=st.integers(1, 65535), max_ttl=TTL, idle_ttl=TTL, client=CLIENTS, exclude=WRITERS,
       root=st.sampled_from([r"C:\Windows", r"D:\WINNT", r"E:\a\win-10.1_x"]))
def test_every_script_is_in_order_whatever_the_parameters(
    run: str, nonce: str, letters: tuple[str, str], folder: list[str], number: int, port: int, max_ttl: float,
    idle_ttl: float, client: str, exclude: list[str], root: str,
) -> None:  # fmt: skip
    made = rendered(
        run,
        copied(["\\".join([f"{letter}:", *folder]) for letter in letters[0]], number),
        letters[1],
        nonce=nonce,
        port=port,
        max_ttl=max_ttl,
        idle_ttl=idle_ttl,
        client=client,
        system_root=root,
        exclude=exclude,
    )
    for name, text in made.items():
        assert faults(text) == [], name


def test_every_exit_code_of_ours_is_one_of_its_own_and_far_from_those_of_programs() -> None:
    assert len(set(CODES.values())) == len(CODES) == 12
    assert all(200 < code < 256 for code in CODES)
    used = {int(code) for text in PLAIN.values() for code in re.findall(r"(?:exit /b |set rc=)(\d+)", text)}
    assert used - {0} == set(CODES)


def test_every_script_of_the_module_is_linted() -> None:
    makers = {"prepare", "hold", "held", "release", "settle", "map_job", "unmap", "serve", "discard", "storage", "survey", "writers", "keep", "stage"}
    makings = {"vshadow", "diskshadow", "shadowcopy", "live", "restoring"}
    data = {"arguments_for", "raw", "device_order", "shadowcopy_order", "diskshadow_script"}
    functions = {name for name in scripts.__all__ if name[0].islower()}
    assert functions == makers | makings | data, "a new script goes into `rendered`"


# The checks themselves.


def script(*lines: str) -> str:
    """Return a script that is in order but for these lines."""
    return "".join(f"{line}\r\n" for line in ("@echo off", ":main", *lines, "exit /b 0"))


def test_the_frame_of_the_bad_examples_is_in_order() -> None:
    assert faults(script("set rc=%errorlevel%", "call release.cmd", "exit /b %rc%")) == []


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["echo gone && echo held"], "&&"),
        (["echo gone || echo held"], "||"),
        (["echo gone | echo held"], "operator"),
        (["echo gone& echo held"], "operator"),
        (['if exist "a.txt del /f /q a.txt'], "quotes"),
        (["if exist a.txt ("], "block"),
        (["echo \u00fc"], "ASCII"),
        (["echo\tgone"], "ASCII"),
        (["echo gone\n"], "CRLF"),
        (["echo " + "a" * 8190], "characters"),
        (["timeout /t 1"], "timeout"),
        (["wmic process"], "wmic"),
        (["vssadmin list shadows"], "vssadmin"),
        ([r'"%SystemRoot%\System32\vssadmin.exe" delete shadows /all'], "vssadmin"),
        ([r'"%SystemRoot%\System32\reg.exe" add HKLM\SYSTEM\MountedDevices'], "reg"),
        ([r'mklink /D "C:\vsspc-0123456789ab\vol" \\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy4'], "mklink"),
        ([r'mklink /D "C:\Users\vol" C:\\'], "mklink"),
        (["setlocal enabledelayedexpansion"], "setlocal"),
        (["echo !rc!"], "!rc!"),
        (["ping -n 2 127.0.0.1 >nul"], "full path"),
        (["taskkill.exe /f"], "full path"),
        (["echo 3>a.txt"], "handle"),
        (["echo gone >C:\\a.txt"], "redirection"),
        (["goto nowhere"], "label nowhere"),
        (["call :nowhere"], "label nowhere"),
        (["exit /b"], "without a code"),
        (["exit /b 7"], "document the exit code 7"),
        (["exit"], "more than the script"),
        (["set /a ticks=2147483648"], "32-bit"),
        ([r'"%SystemRoot%\System32\find.exe" "No rules match" netstat.txt >nul'], "find looks"),
        (["echo %USERNAME%"], "%USERNAME%"),
        (["echo 100% gone"], "lone %"),
        (["if exist Benutzer echo gone"], "Benutzer"),
        ([r'"%SystemRoot%\System32\icacls.exe" . /grant Administrators:F'], "Administrators"),
        (["call release.cmd", "exit /b %errorlevel%"], "lost in Wine"),
        (["call release.cmd", "echo gone", "if errorlevel 1 exit /b 211"], "lost in Wine"),
        (["if exist a.cmd call a.cmd", "set rc=%errorlevel%"], "lost in Wine"),
    ],
)
def test_a_bad_script_is_flagged(lines: list[str], word: str) -> None:
    assert any(word in fault for fault in faults(script(*lines))), faults(script(*lines))


def test_a_script_must_begin_and_end_in_its_own_way() -> None:
    assert any("@echo off" in fault for fault in faults("exit /b 0\r\n"))
    assert any("its end" in fault for fault in faults("@echo off\r\necho gone\r\n"))
