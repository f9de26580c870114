"""What fails by itself: pre, the session, the transfer, post."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import Case, Left, Shows
from tests.backuppc.matrix.stage import Stage
from tests.backuppc.matrix.table.pre import STOP
from tests.backuppc.matrix.table.words import (
    EMPTIED,
    FAILED,
    GOOD,
    NO_SESSION,
    NOTHING_LEFT,
    POST,
    RSYNC,
    TOLD,
    error_of_post,
    error_of_pre,
    failed_pre,
    failed_transfer,
)
from vsspc.core import errors
from vsspc.lab.backuppc import SHIMS, give


def cases() -> Iterator[Case]:
    """Return them."""
    yield from _pre()
    yield from _session()
    yield from _transfer()
    yield from _post()


def _pre() -> Iterator[Case]:
    fails = Case(moments.NEVER, events.NOTHING, ())
    yield replace(fails, note="VSS fails", shows=error_of_pre(errors.SnapshotFailed), prepare=_vss_fails)
    wrong = replace(fails, lease="none|closed")
    yield replace(wrong, note="wrong account", shows=error_of_pre(errors.AuthRejected), prepare=_wrong_account)
    nobody = {"ClientNameAlias": "127.1.2.3"}
    yield replace(wrong, note="nobody at the address", shows=error_of_pre(errors.PortClosed), settings=nobody)
    missing = "/opt/none/vsspc-pre"
    for note, hook, status, words in (
        ("no shim", _glue(missing), 127 * 256, f"vsspc: {missing} cannot be run"),
        ("no VSSPC.pm", _glue(missing).replace("VSSPC.pm", "NONE.pm"), 256, "perl error Can't locate"),
        ("no shim, without the glue", f"{missing} --client $client", 256, f"Exec of {missing}"),
    ):
        shows = failed_pre(status, words)
        yield replace(fails, note=note, lease="none", shows=shows, settings={"DumpPreUserCmd": hook})
    # BackupPC ignores the hook then; without a password it transfers nothing all the same.
    unchecked = replace(fails, settings={"UserCmdCheckStatus": 0}, prepare=_vss_fails)
    yield replace(unchecked, note="VSS fails, UserCmdCheckStatus = 0", shows=(UNCHECKED,))
    stopped = replace(STOP, xferlog=(TOLD,))
    yield Case(
        moments.PRE_MAP, events.STOP, (stopped,), note="UserCmdCheckStatus = 0", settings={"UserCmdCheckStatus": 0}
    )


UNCHECKED = Shows(
    ("xfer start failed: $Conf{RsyncdPasswd} is empty; host's rsyncd auth will fail", *EMPTIED),
    ("Backup failed on HOST (xfer start failed: $Conf{RsyncdPasswd} is empty; host's rsyncd auth will fail)",),
    FAILED,
    xferlog=("[SnapshotFailed, exit 30]", NO_SESSION, POST),
    never=(RSYNC,),
)


def _glue(shim: str) -> str:
    """The example's DumpPreUserCmd with another shim."""
    return f'&{{sub {{ $? = 256; require "{SHIMS}/VSSPC.pm"; VSSPC::pre($bpc, $args[0], "{shim}") }}}}'


def _vss_fails(stage: Stage) -> None:
    stage.bench.lab.inject("vshadow", hresult="0x80042306")


def _wrong_account(stage: Stage) -> None:
    wrong = stage.bench.lab.state / "wrong-credentials"
    wrong.touch(mode=0o600)
    wrong.write_text("username = backup\npassword = Wrong-1\n", "utf-8")
    give(wrong, stage.bench.backuppc.user)
    stage.bench.lab.configure(credentials_file=f'"{wrong}"')


def _session() -> Iterator[Case]:
    """What DumpPreShareCmd refuses: the session file is spoiled once pre has made it."""
    for what, spoil, words in (
        ("gone", Path.unlink, "No such file"),
        ("readable by others", _readable, "others may use it"),
        ("of another host", _change("host", "other"), "of another host"),
        ("expired", _change("expires", "1700000000"), "the session expired"),
        ("of a restore", _change("purpose", "restore"), "the session is one of a restore"),
        ("a link", _link, "Too many levels"),
        ("empty", _empty, "0 bytes"),
    ):
        yield Case(moments.PRE_DONE, events.spoiled(what, spoil), (_refused(words),))
    if os.geteuid() == 0:  # else it cannot be given to anybody
        yield Case(moments.PRE_DONE, events.spoiled("of another user", _of_another), (_refused("owned by uid "),))


def _refused(words: str) -> Shows:
    told = "DumpPreShareCmd returned error status 0"  # BackupPC has lost the number: DumpPostUserCmd ran in between
    return Shows(
        ("DumpPreShareCmd returned error status 256... exiting", *EMPTIED),
        (f"Backup failed on HOST ({told})",),
        FAILED,
        xferlog=(NO_SESSION, words, POST, NOTHING_LEFT, told),
        never=(RSYNC,),
    )


def _readable(file: Path) -> None:
    file.chmod(0o640)


def _of_another(file: Path) -> None:
    file.chmod(0o644)
    os.chown(file, file.stat().st_uid + 1, -1)


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _link(file: Path) -> None:
    """The same content, behind a symbolic link."""
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _change(field: str, value: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        lines = [line for line in file.read_text("ascii").splitlines() if not line.startswith(f"{field}=")]
        file.write_text("\n".join([*lines, f"{field}={value}"]) + "\n", "ascii")

    return change


def _transfer() -> Iterator[Case]:
    no_files = failed_transfer("No files dumped for share C", kept="none")
    idle = {"idle_ttl": '"20s"'}
    yield Case(moments.PRE_DONE, events.DAEMON_KILLED, no_files)
    yield Case(moments.PRE_DONE, events.IDLE_FOR_LONG, no_files, configuration=idle)
    unknown, shares = failed_transfer("No files dumped for share E", "E"), ["C", "E"]
    yield Case(
        moments.NEVER, events.NOTHING, unknown, note="a share that is no module", settings={"RsyncShareName": shares}
    )


def _post() -> Iterator[Case]:
    vanished, last = error_of_post(errors.SnapshotVanished), "the last share"
    yield Case(moments.TRANSFER, events.VANISHED, vanished, note=last, share="D")
    yield Case(moments.PRE_DONE, events.IMPOSTOR, vanished)
    # The dump is known to be good over rsync's own connection; the host is owed a teardown.
    unreachable = Case(moments.TRANSFER, events.UNREACHABLE, (GOOD,), Left.NEXT_PRE, "owing", share="D")
    yield unreachable
    fails = replace(unreachable, shows=error_of_post(errors.TeardownIncomplete), prepare=_teardown_failure_fails)
    yield replace(fails, note='teardown_failure = "fail"')


def _teardown_failure_fails(stage: Stage) -> None:
    config = stage.bench.lab.config
    text = config.read_text("utf-8")
    config.write_text(text.replace("[defaults]\n", '[defaults]\nteardown_failure = "fail"\n', 1), "utf-8")
