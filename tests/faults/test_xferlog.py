"""What an administrator reads in BackupPC's XferLOG: short, in order, enough."""

from __future__ import annotations

import re

from vsspc.core import errors

from .conftest import Rehearsal, ended, succeed

GOOD = """\
Executing DumpPreUserCmd
vsspc: SMB 3.1.1, encrypted with CIPHER, logged on by NTLM
vsspc: cleanup done, N s
vsspc: shadow copies by vshadow: the bundle has vshadow.exe for this Windows
vsspc: snapshot done, N s
vsspc: map done, N s
vsspc: rsyncd_up done, N s
vsspc: shadow copy of winbox served as rsync module C at ADDRESS, proved; run ID, N s; details in LOG
Executing DumpPreShareCmd
vsspc: winbox: run ID is served on port PORT
Executing DumpPostShareCmd
vsspc: winbox: C has N files, N bytes
Executing DumpPostUserCmd
vsspc: the shadow copy outlived the transfer
vsspc: nothing of run ID is left on winbox
"""
NO_SNAPSHOT = """\
Executing DumpPreUserCmd
vsspc: SMB 3.1.1, encrypted with CIPHER, logged on by NTLM
vsspc: cleanup done, N s
vsspc: shadow copies by vshadow: the bundle has vshadow.exe for this Windows
vsspc: snapshot: attempt 1 failed (there is not enough shadow storage (VSS_E_INSUFFICIENT_STORAGE, 0x8004231f)); again in N s
vsspc: snapshot failed; the run is undone
vsspc: nothing of run ID is left on winbox
vsspc: details in LOG
vsspc: ERROR winbox snapshot: there is not enough shadow storage (VSS_E_INSUFFICIENT_STORAGE, 0x8004231f); …. Make \
room on the host, for example: `vssadmin resize shadowstorage /for=C: /on=C: /maxsize=20%`. [SnapshotNoSpace, exit 33]
DumpPreUserCmd returned error status 8448... exiting
"""
NO_SESSION = """\
Executing DumpPreUserCmd
vsspc: cleanup failed; the run is undone
vsspc: nothing of run ID is left on winbox
vsspc: details in LOG
vsspc: ERROR winbox cleanup: the host does not log backup on: the user name or the password is wrong (NTSTATUS 0xC000006D). \
Check the account in credentials_file, or of the keytab: its password, and whether it is locked, disabled or expired. It was tried once, and is not tried again by itself: that locks accounts. [AuthRejected, exit 21]
DumpPreUserCmd returned error status 5376... exiting
"""
VANISHED = """\
vsspc: nothing of run ID is left on winbox
vsspc: details in LOG
vsspc: ERROR winbox wait: the shadow copy did not outlive the transfer: …. This dump is not good. Give the host more \
shadow storage, or dump it when less is written there. [SnapshotVanished, exit 35]
"""
OWING = """\
vsspc: the shadow copy outlived the transfer
vsspc: WARNING: winbox: still on the host: daemon, firewall_rule, mapping, owner_file, run_folder, shadow_set (…). \
Nothing to do: the next run settles it. `vsspc sweep HOST` does it now.
"""


def test_a_good_dump(rehearsal: Rehearsal) -> None:
    for full in (True, False):
        result = rehearsal.dump(full=full)
        assert result.ok, result.xferlog
        assert read(rehearsal, result.xferlog) == GOOD
        assert result.xferlog.count("vsspc.jsonl") == 1


def test_a_dump_without_a_shadow_copy(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow", hresult="0x8004231f")
    text = read(rehearsal, rehearsal.dump().xferlog)
    assert re.sub(r"(0x8004231f\)); shadow storage of [^.]*\.\d\d GB[^.]*\.", r"\1; ….", text) == NO_SNAPSHOT


def test_a_dump_without_a_session(rehearsal: Rehearsal) -> None:
    rehearsal.account(rehearsal.lab.username, "wrong")
    assert read(rehearsal, rehearsal.dump().xferlog) == NO_SESSION


def test_post_after_the_shadow_copy_has_vanished(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lab.vanish()
    text = read(rehearsal, ended(rehearsal.post(), errors.SnapshotVanished.exit_code))
    assert re.sub(r"(outlive the transfer: ).*(\. This dump)", r"\1…\2", text) == VANISHED


def test_post_to_which_the_host_does_not_answer(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lab.configure(post_timeout='"5s"')
    rehearsal.lab.inject("smbd-frozen")
    text = read(rehearsal, succeed(rehearsal.post()))
    rehearsal.lab.clear()
    assert re.sub(r"shadow_set \(.*\)\. Nothing", "shadow_set (…). Nothing", text) == OWING
    succeed(rehearsal.sweep())
    rehearsal.assert_clean()


def read(rehearsal: Rehearsal, xferlog: str) -> str:
    """Return the lines of the hooks, with what differs from run to run put into words."""
    shown = []
    for line in xferlog.splitlines():
        if hook := re.match(r"Executing Dump\w+", line):
            shown.append(hook[0])
        elif line.startswith(("vsspc: ", "DumpP", "Got fatal error")):
            shown.append(line)
    text = "".join(f"{line}\n" for line in shown)
    for what, word in (
        (re.escape(str(rehearsal.lab.state / "vsspc.jsonl")), "LOG"),
        (re.escape(rehearsal.lab.address), "ADDRESS"),
        (r"\brun [0-9a-f]{12}\b", "run ID"),
        (r"\bport \d+", "port PORT"),
        (r"AES-\d+-[GC]CM", "CIPHER"),
        (r"\b\d+(?:\.\d+)? (s|files|bytes)\b", r"N \1"),
    ):
        text = re.sub(what, word, text)
    return text
