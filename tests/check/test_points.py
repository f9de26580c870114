"""The points of a check that are judged from what was told: each where it is in order, and each way in which it is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.descriptors import ADMINISTRATORS, EVERYONE, FULL, descriptor
from vsspc.check import access, program, server, windows
from vsspc.core.errors import AccessRefused, AdminShareMissing, PayloadBlocked, SessionLost
from vsspc.core.findings import Finding, Level
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Kind, Lease, Resource, State, Volume
from vsspc.lab.tools import stand_in
from vsspc.ports import RemoteFile, SessionSecurity
from vsspc.windows.answers import Surroundings, Survey, survey_of
from vsspc.windows.scripts.survey import ASR_RULE
from vsspc.windows.storage import ShadowStorage
from vsspc.windows.writers import ListedWriter, listed_writers

SETTINGS = HostSettings(host="winbox", address="192.0.2.10")
RUN, OTHER = "0123456789ab", "ba9876543210"
SEEN = Surroundings(r"C:\Windows", frozenset("AC"), 64, has_diskshadow=True, has_certutil=True)
SURVEY = Survey(1, None, "FullLanguage", (), whole=True)
BUNDLE = Bundle({name: stand_in(name) for name in ("rsync.exe", "cygwin1.dll", "vshadow.exe", "dosdev.exe")})
DENIED = AccessRefused("opening ADMIN$: the host denies it (access denied)")
MISSING = AdminShareMissing("opening ADMIN$: ADMIN$ is not shared")


def _levels(found: list[Finding]) -> dict[str, str]:
    return {one.point: one.level.value for one in found}


@pytest.mark.parametrize(("errors", "account", "levels"), [
    ({}, "backup", ("ok", "ok", "ok")),
    ({"ADMIN$": DENIED, "C$": DENIED, "manager": DENIED}, "backup", ("failed", "skipped", "skipped")),
    ({"ADMIN$": DENIED, "C$": DENIED, "manager": DENIED}, "EXAMPLE\\backup", ("failed", "skipped", "skipped")),
    ({"ADMIN$": MISSING}, "backup", ("ok", "failed", "ok")),
    ({"ADMIN$": MISSING, "C$": MISSING}, "backup", ("ok", "failed", "ok")),
    ({"ADMIN$": MISSING, "C$": DENIED, "manager": DENIED}, ".\\backup", ("failed", "failed", "skipped")),
    ({"manager": SessionLost("the pipe broke")}, "backup", ("ok", "ok", "failed")),
])  # fmt: skip
def test_rights(errors: dict[str, Exception], account: str, levels: tuple[str, str, str]) -> None:
    found = access.rights(errors, account)  # type: ignore[arg-type]
    assert tuple(_levels(found).values()) == levels
    filtered = found[0]
    if filtered.level is Level.FAILED:
        local = account in ("backup", ".\\backup")
        assert ("LocalAccountTokenFilterPolicy" in filtered.mend) is local
        assert local or filtered.mend == 'net localgroup Administrators "EXAMPLE\\backup" /add'


def test_a_fallback_to_ntlm_is_a_warning() -> None:
    security = SessionSecurity("3.1.1", True, "AES-128-GCM", "NTLM, since there is no ticket")
    assert access.logon(security, "backup").level is Level.WARNING
    assert access.logon(replace(security, auth="Kerberos"), "backup@EXAMPLE.ORG").level is Level.OK


def test_a_folder_that_others_may_change_is_not_used() -> None:
    closed = descriptor(ADMINISTRATORS, (ADMINISTRATORS, FULL))
    assert access.folder(closed, "winbox").level is Level.OK
    for bad in (descriptor(ADMINISTRATORS, (EVERYONE, FULL)), None, b"noise"):
        found = access.folder(bad, "winbox")
        assert found.level is Level.FAILED and "vsspc check --mend winbox" in found.mend


def _file(name: str, *, folder: bool = False) -> RemoteFile:
    return RemoteFile(name, 0, folder, 0.0, 0.0)


def test_only_what_carries_exactly_our_names_is_a_leftover() -> None:
    found = access.left(
        [_file("owner.json"), _file(f"now-{RUN}"), _file("now-x"), _file("bundle", folder=True)],
        [_file(RUN.upper(), folder=True), _file(RUN), _file("notes", folder=True)],
        [_file(f"vsspc-{RUN}-00FF.exe"), _file("vsspc-notes.exe"), _file(f"vsspc-{RUN}.exe")],
    )
    assert found == access.Left((RUN,), (f"vsspc-{RUN}-00ff.exe",), (f"now-{RUN}",))


def _owner(server: str, run: str = RUN, ttl: float = 100) -> bytes:
    return json.dumps({"version": 1, "server": server, "run": run, "ttl": ttl}).encode()


@pytest.mark.parametrize(("left", "state", "level", "words"), [
    (access.Left(), None, "ok", "Nothing of earlier runs"),
    (access.Left((RUN,), (), (), _owner("us")), State.WAIT, "ok", f"Nothing but run {RUN}, which waits"),
    (access.Left((RUN, OTHER), (), (), _owner("us")), State.WAIT, "warning", f"the folder of run {OTHER}."),
    (access.Left((RUN,), (f"vsspc-{RUN}-00ff.exe",), (f"now-{RUN}",)), None, "warning", f"vsspc-{RUN}-00ff.exe"),
    (access.Left((RUN,), (), (), _owner("them"), 99), None, "ok", f"Another server works on the host: 'them', run '{RUN}'"),
    (access.Left((RUN,), (), (), _owner("them"), 101), None, "warning", "an owner file of 'them', expired"),
    (access.Left((), (), (), b"\xff{"), None, "warning", "an owner file"),
    (access.Left(), State.OWING, "warning", "what this server's lease owes (daemon)"),
])  # fmt: skip
def test_leftovers(left: access.Left, state: State | None, level: str, words: str) -> None:
    lease = None
    if state is not None:
        lease = Lease(host="winbox", address="x", run=RUN, state=state, held=(Resource(Kind.DAEMON, RUN),))
    found = access.leftovers(left, lease, "us", "winbox")
    assert found.level == level and words in found.says, found.says
    assert found.mend == ("vsspc check --mend winbox" if level == "warning" else "")
    assert bool(access.at_work(left, "us")) is (left.owner_age == 99)


@given(st.binary(max_size=200), st.floats(min_value=0, max_value=1e9))
def test_any_owner_file_is_read(content: bytes, age: float) -> None:
    access.leftovers(access.Left((), (), (), content, age), None, "us", "winbox")


def test_marker_folders_count_unless_their_run_is_there_or_told_already() -> None:
    lease = Lease(host="winbox", address="x", run=RUN, state=State.WAIT)
    assert access.leftovers(access.Left((RUN,)), lease, "us", "winbox", [RUN]).level is Level.OK
    assert f"a marker folder of run {OTHER}" in access.leftovers(access.Left(), lease, "us", "winbox", [OTHER]).says


@pytest.mark.parametrize(("error", "point", "words"), [
    (PayloadBlocked("the program x.exe vanished from the host as soon as it was uploaded"), "antivirus", "Add-MpPreference"),
    (PayloadBlocked("starting x: the antivirus took the program for malware (error 225)"), "antivirus", "Add-MpPreference"),
    (PayloadBlocked("starting x: the program may not be run (error 5, access denied)"), "ASR rule", ASR_RULE),
    (PayloadBlocked("the service x was started but does not answer"), "service", "antivirus"),
    (AccessRefused("installing x: the account may not manage services"), "service", "administrator"),
])  # fmt: skip
def test_why_our_program_does_not_run(error: PayloadBlocked, point: str, words: str) -> None:
    found = program.fails(error)
    (failed,) = [one for one in found if one.level is Level.FAILED]
    assert failed.point == point and words in failed.mend


@pytest.mark.parametrize(("value", "level", "words"), [(None, "ok", "not set"), (0, "ok", "not set"), (1, "warning", "block"),
                                                       (2, "ok", "audit"), (6, "warning", "warn"), (9, "ok", "mode 9")])  # fmt: skip
def test_the_asr_rule(value: int | None, level: str, words: str) -> None:
    found = program.rule(replace(SURVEY, asr=value))
    assert found.level == level and words in found.says


def test_the_bundle() -> None:
    assert server.bundle(BUNDLE, SETTINGS, "/b").level is Level.OK
    files = dict(BUNDLE.files)
    del files["cygwin1.dll"]
    bad = server.bundle(Bundle(files), SETTINGS, "/b")
    assert bad.level is Level.FAILED and "cygwin1.dll is missing" in bad.says and "/b" in bad.mend
    noise = server.bundle(Bundle({**BUNDLE.files, "cygwin1.dll": b"<html>"}), SETTINGS, "/b")
    assert "cygwin1.dll is no Windows program" in noise.says


def test_letters_by_what_mapping_says() -> None:
    full = replace(SEEN, used_letters=frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    levels = [windows.letters(replace(SETTINGS, mapping=way), full).level for way in ("auto", "letter", "link")]
    assert levels == [Level.WARNING, Level.FAILED, Level.OK]
    assert windows.letters(SETTINGS, SEEN).says == "B: for 1 shadow copy."


def test_powershell_by_what_needs_it() -> None:
    without = Bundle({name: data for name, data in BUNDLE.files.items() if name != "dosdev.exe"})
    constrained, missing = replace(SURVEY, language="ConstrainedLanguage"), replace(SURVEY, language="")
    auto, letter = SETTINGS, replace(SETTINGS, mapping="letter")
    assert windows.powershell(auto, without, SURVEY, "vshadow").level is Level.OK
    assert windows.powershell(auto, BUNDLE, constrained, "vshadow").level is Level.OK
    assert windows.powershell(auto, without, constrained, "vshadow").level is Level.WARNING
    assert windows.powershell(letter, without, missing, "vshadow").level is Level.FAILED
    assert windows.powershell(auto, BUNDLE, missing, "wmi").level is Level.FAILED
    assert windows.powershell(auto, BUNDLE, constrained, "wmi").level is Level.OK


def test_the_engine_is_the_one_that_a_run_would_begin_with() -> None:
    client = replace(SEEN, has_diskshadow=False)
    bare = Bundle({name: data for name, data in BUNDLE.files.items() if name != "vshadow.exe"})
    assert windows.engine(SETTINGS, BUNDLE, SEEN)[0] == "vshadow"
    assert windows.engine(SETTINGS, bare, SEEN)[0] == "diskshadow"
    assert windows.engine(SETTINGS, bare, client)[0] == "wmi"
    name, found = windows.engine(replace(SETTINGS, engine="diskshadow"), BUNDLE, client)
    assert (name, found.level) == ("", Level.FAILED) and "Only Windows Server has it" in found.mend


def test_volumes() -> None:
    settings = replace(SETTINGS, volumes=(Volume("C:"), Volume("D:", optional=True)))
    assert windows.volumes(settings, SEEN).level is Level.OK
    assert windows.volumes(settings, replace(SEEN, missing=frozenset({"D:"}))).level is Level.WARNING
    assert windows.volumes(settings, replace(SEEN, missing=frozenset({"C:"}))).level is Level.FAILED


def test_shadow_storage_that_is_full_small_unlimited_or_not_there() -> None:
    def level(used: str, maximum: str) -> Level:
        return windows.storage(SETTINGS, [ShadowStorage("C:", "C:", used, used, maximum)]).level

    assert level("1,00 GB (3%)", "3,00 GB (10%)") is Level.OK
    assert level("2,90 GB (9%)", "3,00 GB (10%)") is Level.WARNING
    assert level("0 B (0%)", "300 MB (1%)") is Level.WARNING
    assert level("9 GB (30%)", "?") is Level.OK
    assert windows.storage(SETTINGS, []).level is Level.OK


GERMAN = (
    "vssadmin 1.1 - Verwaltungsbefehlszeilenprogramm des Volumeschattenkopie-Dienstes\r\n"
    "(C) Copyright 2001-2013 Microsoft Corp.\r\n\r\n"
    'Verfassername: "System Writer"\r\n'
    "   Verfasserkennung: {e8132975-6f93-4464-a53e-1050253ae220}\r\n"
    "   Verfasserinstanzkennung: {5e0f1b6c-5a4e-4b6e-9a53-3d2a3c1f6c11}\r\n"
    "   Status: [1] Stabil\r\n"
    "   Letzter Fehler: Kein Fehler\r\n\r\n"
    'Verfassername: "SqlServerWriter"\r\n'
    "   Verfasserkennung: {A65FAA63-5EA8-4EBC-9DBD-A0C4DB26912A}\r\n"
    "   Verfasserinstanzkennung: {27f6c9d1-62b8-4d0e-8f5b-1ad0a9c3ee16}\r\n"
    "   Status: [8] Fehlgeschlagen\r\n"
    "   Letzter Fehler: Nicht wiederholbarer Fehler\r\n"
)
"""After a transcript in a German forum; its words are not looked at."""


def test_writers_are_read_in_any_language() -> None:
    listed = listed_writers(GERMAN.encode("cp850"))
    assert listed == (
        ListedWriter("System Writer", "{e8132975-6f93-4464-a53e-1050253ae220}", 1),
        ListedWriter("SqlServerWriter", "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}", 8),
    )
    assert windows.writers(SETTINGS, listed).level is Level.WARNING
    assert windows.writers(replace(SETTINGS, writers=True), listed).level is Level.FAILED
    without = replace(SETTINGS, writers=True, exclude_writers=("{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}",))
    assert windows.writers(without, listed).level is Level.OK
    assert windows.writers(SETTINGS, ()).level is Level.FAILED


@given(st.binary(max_size=400))
def test_any_bytes_are_read_as_writers_or_a_survey(noise: bytes) -> None:
    for output in (noise, GERMAN.encode() + noise, b"section=asr\r\n" + noise):
        windows.writers(SETTINGS, listed_writers(output))
        program.rule(survey_of(output))


def test_the_survey_reads_numbers_and_our_words() -> None:
    output = (
        b"section=filter\r\n\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\x\r\n    LocalAccountTokenFilterPolicy    REG_DWORD    0x1\r\n\r\n"
        b"section=asr\r\nERROR: The system was unable to find the specified registry key or value.\r\n"
        b"    d1e49aac-8f56-4280-b9ba-993a6d77406c    REG_SZ    2\r\n"
        b"section=language\r\nlanguage=ConstrainedLanguage\r\n"
        b"section=markers\r\nvsspc-0123456789AB\r\nvsspc-notes\r\nsection=end\r\n"
    )
    assert survey_of(output) == Survey(1, 2, "ConstrainedLanguage", (RUN,), whole=True)
    assert survey_of(b"") == Survey(None, None, "", (), whole=False)
