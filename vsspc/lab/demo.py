"""`make demo`: a real BackupPC backs up a rehearsal Windows host, open files included, and the proof is printed.

A lab host gets a C: with a locked file, two files that a program rewrites without pause, a deep tree and names in many
scripts. BackupPC's real server dumps it three times: once without vsspc from a plain rsyncd on the live volume (the
locked file is missing: so the rest means something), then a full and an incremental through the shims. Every byte is
compared with what the volume held at the instant of the shadow copy, and host and server are searched for what may
have been left. The exit status is 0 only when every line of the table holds.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from vsspc.lab.backuppc import FRAGMENT, SHIMS, BackupPC, BackupPCError, DumpResult, adopt, caller_or_backuppc, fragment
from vsspc.lab.process import LabFailed, LabProcess

HOST = "winbox"
PLAIN = "winbox-without-vsspc"
EXCLUDED = ("pagefile.sys", "$Recycle.Bin/S-1-5-21/$R1.txt", "System Volume Information/tracking.log")

LOCKED = "Users/Ada/AppData/Local/Mail/archive.pst"
LEDGER = ("ProgramData/Ledger/ledger.db", "ProgramData/Ledger/ledger.idx")
LEDGER_SIZE = 256 * 1024
LOCKED_SIZE = 3_000_000
SCRIPTS = (
    "Ελληνικά/αρχείο.txt",
    "Русский/Отчёт за год.docx",
    "日本語/議事録.txt",
    "中文/报告.xlsx",
    "한국어/보고서.txt",
    "العربية/تقرير.txt",
    "עברית/דוח.txt",
    "हिन्दी/रिपोर्ट.txt",
    "ไทย/รายงาน.txt",
    "Հայերեն/հաշվետվություն.txt",
    "Français/reçu – 100 % «payé».txt",
    "Français/de\u0301compose\u0301.txt",
    "Emoji/🗄️ Ablage.txt",
    "Zeichen/#1; 'a', {b} & [c] = $d.txt",
    "長い名前/" + "名" * 80 + ".txt",
)
DEPTH = 60
SMALL_FILES = 300
DUMPS = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table: what is claimed, whether it holds, and the figures that show it."""

    claim: str
    holds: bool
    figures: str


def bytes_of(name: str, size: int) -> bytes:
    """Return the same pseudo-random bytes for the same name."""
    return random.Random(name).randbytes(size)  # nosec B311  # content for files


def write(volume: Path, name: str, content: bytes) -> None:
    """Write one file of the volume."""
    file = volume / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def populate(volume: Path) -> None:
    """Fill a volume: the locked file's content, names in many scripts, a deep tree, many small files and a large one."""
    write(volume, LOCKED, bytes_of("pst", LOCKED_SIZE))
    for name in SCRIPTS:
        write(volume, f"Users/Ada/Documents/{name}", bytes_of(name, 2_000))
    deep = "Projects/" + "/".join(f"level {level:02}" for level in range(1, DEPTH + 1))
    write(volume, f"{deep}/bottom.txt", b"the deepest file\n")
    for number in range(SMALL_FILES):
        name = f"Users/Ada/Small/{number % 20:02}/{number:04}.bin"
        write(volume, name, bytes_of(name, number * 37 % 5_000))
    write(volume, "Users/Ada/Videos/large.bin", bytes_of("large", 12_000_000))
    for name in EXCLUDED:
        write(volume, name, b"the example's excludes keep this out of the backup\n")


def change(volume: Path) -> None:
    """Do a day's work between the full and the incremental: one file changed, one new, one gone."""
    write(volume, f"Users/Ada/Documents/{SCRIPTS[2]}", bytes_of("changed", 5_000))
    write(volume, "Users/Ada/Documents/новый файл.txt", bytes_of("new", 1_000))
    (volume / "Users/Ada/Small/00/0000.bin").unlink()


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def contents(folder: Path, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder but those, by its path."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    named = ((file.relative_to(folder).as_posix(), file) for file in files)
    return {name: digest(file.read_bytes()) for name, file in named if name not in leave_out}


def expected(volume: Path) -> dict[str, str]:
    """Return what a backup must hold apart from the ledger: all that is on the volume now and not excluded."""
    found = contents(volume, (LOCKED, *LEDGER, *EXCLUDED))
    ours = re.compile(r"(Windows/)?vsspc[-/]")
    return {name: sha for name, sha in found.items() if not ours.match(name)} | {
        LOCKED: digest(bytes_of("pst", LOCKED_SIZE))
    }


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say in which files a backup is not what it should be."""
    return sorted(
        [f"missing: {name}" for name in wanted.keys() - found.keys()]
        + [f"not on the volume: {name}" for name in found.keys() - wanted.keys()]
        + [f"other bytes: {name}" for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
    )


def described(names: Mapping[str, str]) -> str:
    """Say what is remarkable about these names."""
    scripts = {unicodedata.name(letter).split()[0] for name in names for letter in name if letter.isalpha()}
    return f"{len(scripts)} scripts, paths up to {max(map(len, names))} characters"


class Ledger:
    """A program that rewrites two files on the volume, one after the other, as fast as it can.

    Both hold the same generation (a number, then bytes that follow from it), so a backup shows whether each file is
    whole and whether both are of one instant. VSS holds writes back while it makes a shadow copy, at a moment when no
    write is half done; so each pair of rewrites is made under the shared side of the lock that the lab takes for that.
    """

    def __init__(self, volume: Path, freeze: Path) -> None:
        self.generation = 0
        self._volume = volume
        self._freeze = freeze
        self._stopped = threading.Event()
        self._trouble: list[Exception] = []
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)

    def __enter__(self) -> Self:
        self._rewrite()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(10)
        if self._trouble and error is None:
            raise self._trouble[0]

    @staticmethod
    def content(generation: int) -> bytes:
        """Return what both files hold in one generation."""
        return b"%016d" % generation + bytes_of(f"ledger {generation}", LEDGER_SIZE - 16)

    @classmethod
    def generation_of(cls, content: bytes) -> int | None:
        """Return the generation that these bytes are, None when they are torn."""
        head = content[:16]
        if not head.isdigit() or content != cls.content(int(head)):
            return None
        return int(head)

    def _work(self) -> None:
        try:
            while not self._stopped.wait(0.01):
                self._rewrite()
        except Exception as error:  # noqa: BLE001 raised again by __exit__: a thread's own report would be lost
            self._trouble.append(error)

    def _rewrite(self) -> None:
        new = self.content(self.generation + 1)
        with self._freeze.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            for name in LEDGER:
                write(self._volume, name, new)
            self.generation += 1


@contextmanager
def plain_rsyncd(folder: Path, *, volume: Path, address: str, port: int, password: str) -> Iterator[None]:
    """Serve the live volume with an ordinary rsyncd, as one would without vsspc.

    Root reads files whatever their modes say. The locked file's mode stands for what Windows refuses to anybody, so
    rsync runs without the capabilities that pass over modes.
    """
    secrets = folder / "rsyncd.secrets"
    secrets.write_text(f"plain:{password}\n")
    secrets.chmod(0o600)
    config = folder / "rsyncd.conf"
    config.write_text(
        f"pid file = {folder}/rsyncd.pid\nlog file = {folder}/rsyncd.log\nuse chroot = no\nstrict modes = no\n"
        f"uid = {os.geteuid()}\ngid = {os.getegid()}\n"
        f"[C]\npath = {volume}\nread only = yes\nauth users = plain\nsecrets file = {secrets}\n"
    )
    confined = ["setpriv", "--pdeathsig=TERM"]
    if os.geteuid() == 0:
        confined.append("--bounding-set=-dac_override,-dac_read_search")
    daemon = subprocess.Popen(
        [*confined, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={address}", f"--port={port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 10
        while not listens(address, port):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the plain rsyncd did not start")
            time.sleep(0.02)
        yield
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(10)


def listens(address: str, port: int) -> bool:
    """Tell whether something takes TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def free_port(address: str) -> int:
    """Return a TCP port of this address that nothing uses."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


class Demo:
    """The dumps, and what they showed so far."""

    def __init__(self, folder: Path, lab: LabProcess, backuppc: BackupPC, vsspc: Path, state_dir: Path) -> None:
        self.checks: list[Check] = []
        self._folder = folder
        self._lab = lab
        self._backuppc = backuppc
        self._vsspc = vsspc
        self._volume = lab.volume("C:")
        self._state_dir = state_dir
        self._before = lab.inventory()

    def check(self, claim: str, holds: bool, figures: str) -> None:
        """Add a line to the table."""
        self.checks.append(Check(claim, holds, figures))

    def without_vsspc(self) -> None:
        """Dump the live volume from a plain rsyncd: what backing up Windows is like without shadow copies."""
        port, password = free_port(self._lab.address), secrets.token_hex(8)
        settings = fragment(
            FRAGMENT.read_text(encoding="utf-8"),
            shims=SHIMS,
            state_dir=self._state_dir,
            ClientNameAlias=self._lab.address,
            DumpPreUserCmd=None,
            DumpPreShareCmd=None,
            DumpPostUserCmd=None,
            RsyncdClientPort=port,
            RsyncdUserName="plain",
            RsyncdPasswd=password,
        )
        self._backuppc.add_host(PLAIN, settings)
        with plain_rsyncd(
            self._folder, volume=self._volume, address=self._lab.address, port=port, password=password
        ):
            result = self._backuppc.dump_by_server(PLAIN)
        found = self._extract(PLAIN, result, "plain") if result.backups else {}
        name = Path(LOCKED).name
        denied = any(name in line and "Permission denied" in line for line in result.xferlog.splitlines())
        self.check(
            "without vsspc: the locked file is missing",
            LOCKED not in found and len(found) > SMALL_FILES and denied,
            f"{len(found)} files came; rsync on {name}: {'Permission denied' if denied else 'no error'}",
        )

    def with_vsspc(self, ledger: Ledger, *, full: bool) -> None:
        """Dump through the shims, and compare what BackupPC then keeps with the volume as of the shadow copy."""
        kind = "full" if full else "incremental"
        wanted = expected(self._volume)
        first = ledger.generation
        result = self._backuppc.dump_by_server(HOST, full=full)
        last = ledger.generation
        if not result.ok:
            self.check(f"{kind}: BackupPC calls it complete", False, f"it ended as {result.state}")
            print(result.pc_log, result.xferlog, sep="\n", file=sys.stderr)
            return
        errors, engine = result.newest.transfer_errors, re.search(r"shadow copies by (\w+)", result.xferlog)
        self.check(
            f"{kind}: BackupPC calls it complete",
            result.newest.type == ("full" if full else "incr") and errors == 0,
            f"{result.newest.files} files, {result.newest.size / 1e6:.1f} MB, {errors} errors, {result.seconds:.1f} s, "
            f"by {engine[1] if engine else 'no engine'}",
        )
        found = self._extract(HOST, result, kind)
        self.check(
            f"{kind}: the locked file, byte for byte",
            found.get(LOCKED) == wanted[LOCKED],
            f"{Path(LOCKED).name}, {LOCKED_SIZE / 1e6:.1f} MB, SHA-256 {found.get(LOCKED, 'none')[:12]}",
        )
        content = [self._folder / kind / name for name in LEDGER]
        seen = {Ledger.generation_of(file.read_bytes()) if file.exists() else None for file in content}
        generation = next(iter(seen))
        self.check(
            f"{kind}: rewritten files, whole, of one instant",
            len(seen) == 1 and generation is not None and first <= generation < last,
            f"both are version {generation}; {first} to {last} were written during the dump",
        )
        others = {name: sha for name, sha in found.items() if name not in LEDGER}
        wrong = differences(wanted, others)
        self.check(
            f"{kind}: every other file, none too many",
            not wrong,
            f"{len(wrong)}, first {wrong[0]}" if wrong else f"{len(others)} files, {described(others)}",
        )

    def full_is_as_before(self) -> None:
        """See that the incremental left the full as it was."""
        number = self._backuppc.backups(HOST)[0].number
        self._backuppc.extract(HOST, number, "C", self._folder / "again")
        wrong = differences(contents(self._folder / "full"), contents(self._folder / "again"))
        self.check("the incremental left the full as it was", not wrong, f"{len(wrong)} files differ")

    def host_is_clean(self) -> None:
        """Look for anything of ours on the host, now that as many shadow copies as dumps have come and gone."""
        after = self._lab.inventory()
        left = [
            f"{len(things)} {what.replace('_', ' ')}" for what, things in after.items() if things != self._before[what]
        ]
        if listens(self._lab.address, self._lab.rsync_port):
            left.append("an open rsync port")
        made = len(self._lab.events.all("shadow-created"))
        self.check(
            "nothing of ours is left on the host",
            not left and made >= DUMPS,
            ", ".join(left) or f"{made} shadow copies made; now 0 {', '.join(after).replace('_', ' ')}",
        )

    def server_is_clean(self) -> None:
        """Look for leases that hold something, session and password files, and processes on the server."""
        status = subprocess.run(
            [str(self._vsspc), "--config", str(self._lab.config), "status", "--json"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        leases = json.loads(status.stdout or "[]")
        held = [
            f"lease of {lease['host']}: {lease['state']}"
            for lease in leases
            if lease["held"] or lease["state"] != "closed"
        ]
        kept = {"lease.json", "lock", "server-id", "files.json", "history.jsonl", "settings.json"}
        files = [str(file) for file in self._state_dir.rglob("*") if file.is_file() and file.name not in kept]
        files += [str(file) for file in self._backuppc.secrets_left()]
        server = self._backuppc.server_pid
        running = [command for pid, command in self._backuppc.processes().items() if pid != server]
        left = held + files + running
        self.check(
            "nothing is left on the server",
            not left and bool(leases),
            "; ".join(left) or f"{len(leases)} lease, closed, holding nothing; 0 password files, processes",
        )

    def smb_was_encrypted(self) -> None:
        """See how every pipe was opened."""
        opened = [event for event in self._lab.events.all("pipe-open")]
        plain = [event for event in opened if not event["encrypted"] or event["dialect"] != "3.1.1"]
        ciphers = sorted({str(event["cipher"]) for event in opened})
        self.check(
            "SMB was 3.1.1 and encrypted",
            bool(opened) and not plain,
            f"{len(opened)} pipes opened, {len(plain)} otherwise; {', '.join(ciphers)}",
        )

    def _extract(self, host: str, result: DumpResult, into: str) -> dict[str, str]:
        folder = self._folder / into
        self._backuppc.extract(host, result.newest.number, "C", folder)
        return contents(folder)


def table(checks: Sequence[Check]) -> str:
    """Return the table for people."""
    width = max(len(check.claim) for check in checks)
    lines = [f" {'yes' if check.holds else 'NO ':<4} {check.claim:<{width}}   {check.figures}" for check in checks]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([rule, *lines, rule])


def verdict(checks: Sequence[Check]) -> int:
    """Return the exit status: 0 when there are checks and all of them hold."""
    return 0 if checks and all(check.holds for check in checks) else 1


def rehearse(folder: Path, *, real_paexec: bool, engine: str) -> list[Check]:
    """Run the whole demo in a folder, on the lab's first or second tier, and return the table's lines."""
    vsspc = Path(os.environ.get("VSSPC_BIN") or Path(sys.executable).with_name("vsspc"))
    user = caller_or_backuppc([vsspc, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm", Path(__file__)])
    with ExitStack() as stack:
        lab = stack.enter_context(LabProcess(options=("--real-paexec",), timeout=120) if real_paexec else LabProcess())
        made_of = "stock Samba, the real PAExec in Wine" if real_paexec else "stock Samba"
        say(f"a Windows host at {lab.address}, SMB port {lab.smb_port} ({made_of}; its C: is {lab.volume()})")
        state_dir = adopt(lab.config, user)
        environment = {"VSSPC_BIN": str(vsspc), "VSSPC_CONFIG": str(lab.config)}
        backuppc = stack.enter_context(BackupPC(folder / "backuppc", user=user, environment=environment))
        say(f"a BackupPC server, process {backuppc.server_pid}, user {user}")
        settings = FRAGMENT.read_text(encoding="utf-8")
        backuppc.add_host(
            HOST,
            fragment(
                settings,
                shims=SHIMS,
                state_dir=state_dir,
                ClientNameAlias=lab.address,
                DumpPreUserCmd=f"{SHIMS}/vsspc-pre --client $client --host $hostIP --type $type --set engine={engine}",
            ),
        )
        populate(lab.volume())
        lab.lock("C:\\" + LOCKED.replace("/", "\\"))
        demo = Demo(folder, lab, backuppc, vsspc, state_dir)
        with Ledger(lab.volume(), lab.freeze()) as ledger:
            say("a dump without vsspc: a plain rsyncd on the live volume")
            demo.without_vsspc()
            say("a full dump through the shims")
            demo.with_vsspc(ledger, full=True)
            change(lab.volume())
            say("an incremental dump through the shims")
            demo.with_vsspc(ledger, full=False)
        demo.full_is_as_before()
        demo.host_is_clean()
        demo.server_is_clean()
        demo.smb_was_encrypted()
        return demo.checks


def say(text: str) -> None:
    """Tell the person what happens now."""
    print(f"demo: {text}", flush=True)


def main() -> int:
    """Run the demo, print the table and return the exit status."""
    options = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--real-paexec", action="store_true", help="with the real PAExec in Wine, in place of ours")
    options.add_argument("--engine", default="auto", help="what makes the shadow copies: auto, vshadow, diskshadow, wmi [auto]")
    chosen = options.parse_args()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that everything is taken down
    with tempfile.TemporaryDirectory(prefix="vsspc-demo-") as name:
        Path(name).chmod(0o755)  # BackupPC runs as another user when we are root
        try:
            checks = rehearse(Path(name), real_paexec=chosen.real_paexec, engine=chosen.engine)
        except (BackupPCError, LabFailed, OSError, subprocess.SubprocessError) as error:
            print(f"demo: FAILED: {error}")
            return 1
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
    print(table(checks))
    status = verdict(checks)
    failed = sum(not check.holds for check in checks)
    outcome = f"{failed} of {len(checks)} checks FAILED" if status else f"all {len(checks)} checks hold"
    print(f"{outcome}; {time.monotonic() - began:.1f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
