"""A real BackupPC 4.4, relocated into a folder and headless: its server, its dumps, what it logged and kept.

Debian's packages supply the programs. BackupPC has its folders written into its scripts and no variable moves them, so
the installed tree is copied and four prefixes are rewritten (BackupPC 4.4.0-8: lib/BackupPC/Lib.pm, the `use lib` line
of each script, and Debian's localconfig.pl in Storage/Text.pm). Nothing outside the folder is read or written, no
port is opened (the server listens on a Unix socket), and any number of them run side by side.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeAlias

PROGRAMS = Path("/usr/share/backuppc")
RSYNC_BPC = Path("/usr/libexec/backuppc-rsync/rsync_bpc")
USER = "backuppc"
SHIMS = Path(__file__).resolve().parents[2] / "shims"
FRAGMENT = Path(__file__).resolve().parents[2] / "examples" / "config.pl"

# The columns of pc/HOST/backups, in BackupPC's own order (lib/BackupPC/Storage/Text.pm, BackupFields).
BACKUP_FIELDS = (
    "num", "type", "startTime", "endTime", "nFiles", "size", "nFilesExist", "sizeExist", "nFilesNew", "sizeNew",
    "xferErrs", "xferBadFile", "xferBadShare", "tarErrs", "compress", "sizeExistComp", "sizeNewComp", "noFill",
    "fillFromNum", "mangle", "xferMethod", "level", "charset", "version", "inodeLast", "keep", "share2path", "comment",
)  # fmt: skip

# What a setting of BackupPC may be here.
PerlValue: TypeAlias = str | int | None | list[str] | dict[str, list[str]]


class BackupPCError(Exception):
    """BackupPC itself did not do what it was asked for (a dump that fails is a result, not an error)."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One row of pc/HOST/backups. Sizes in bytes, times in seconds since the epoch."""

    number: int
    type: str
    files: int
    size: int
    new_files: int
    transfer_errors: int
    started: int
    ended: int

    @classmethod
    def parse(cls, line: str) -> Backup:
        """Read one tab-separated line; numbers that BackupPC has not filled in yet count as 0."""
        row = dict(zip(BACKUP_FIELDS, line.rstrip("\n").split("\t"), strict=False))

        def number(field: str) -> int:
            return int(float(row.get(field) or 0))

        return cls(
            number=number("num"),
            type=row.get("type", ""),
            files=number("nFiles"),
            size=number("size"),
            new_files=number("nFilesNew"),
            transfer_errors=number("xferErrs"),
            started=number("startTime"),
            ended=number("endTime"),
        )


@dataclass(frozen=True, slots=True)
class DumpResult:
    """What became of one dump.

    `ok`: BackupPC calls it complete. `state` is BackupPC's own last word: "full", "incr", "partial" for a backup that
    it kept, or "failed". `xferlog` is what an administrator finds on the host's page (also of a failed dump); `pc_log`
    are the lines that this dump added to the host's LOG, `server_log` those that it added to the server's (both also
    hold a neighbour's lines when several dumps run at once).
    """

    host: str
    ok: bool
    state: str
    xferlog: str
    pc_log: str
    server_log: str
    backups: tuple[Backup, ...]
    seconds: float

    @property
    def newest(self) -> Backup:
        """Return the newest backup that BackupPC keeps of the host."""
        if not self.backups:
            raise BackupPCError(f"{self.host}: BackupPC keeps no backup")
        return self.backups[-1]


@dataclass(frozen=True, slots=True)
class _Before:
    """What there was before a dump: the lengths of the logs in characters, the backups, and the monotonic time."""

    logs: Mapping[str, int]
    backups: tuple[Backup, ...]
    began: float


def caller_or_backuppc(needed: Iterable[Path]) -> str:
    """Choose who runs BackupPC: Debian's `backuppc` when we are root and it can reach every needed path, else the caller.

    A program is `needed` when it can be executed, a file when it can be read.
    """
    if os.geteuid() == 0 and _exists(USER):
        tests = [f'test -x "{path}" -o \\( ! -x "{path}" -a -r "{path}" \\)' for path in needed]
        if subprocess.run([*_as(USER), "/bin/sh", "-c", " && ".join(tests) or "true"], check=False).returncode == 0:
            return USER
    return pwd.getpwuid(os.geteuid()).pw_name


def fragment(text: str, *, shims: Path, state_dir: Path, **overrides: PerlValue) -> str:
    """Return a host's settings from a fragment such as examples/config.pl, with its two paths moved and settings added."""
    for old, new in (("/opt/vsspc/shims", shims), ("/var/lib/vsspc", state_dir)):
        if old not in text:
            raise ValueError(f"the fragment does not mention {old}")
        text = text.replace(old, str(new))
    body, end, _ = text.rpartition("1;")
    if not end:
        raise ValueError("the fragment does not end in 1;")
    added = "".join(f"$Conf{{{name}}} = {perl(value)};\n" for name, value in overrides.items())
    return f"{body}{added}1;\n"


def perl(value: PerlValue) -> str:
    """Write a value as Perl."""
    if value is None:
        return "undef"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(perl(item) for item in value) + "]"
    return "{" + ", ".join(f"{perl(key)} => {perl(item)}" for key, item in value.items()) + "}"


class BackupPC:
    """One relocated BackupPC below `root`, with its real server.

    `user` runs everything (see `caller_or_backuppc`); when it is not the caller, the caller is root. `environment` is
    added to what the server, its dumps and so the hooks see (VSSPC_BIN, VSSPC_CONFIG). Use it as a context manager:
    at the end the server and whatever it started are gone.
    """

    def __init__(self, root: Path, *, user: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.user = user or caller_or_backuppc([])
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "VSSPC_LAB_BACKUPPC": str(root),
            **(environment or {}),
        }
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.install()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Setting it up

    def install(self) -> None:
        """Make the folders, the relocated programs and config.pl."""
        if not (PROGRAMS / "bin" / "BackupPC_dump").exists() or not RSYNC_BPC.exists():
            raise BackupPCError("BackupPC is not installed: `make setup` installs Debian's backuppc and backuppc-rsync")
        for folder in ("etc", "top/pc", "top/pool", "top/cpool", "log", "run"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)
        shutil.copytree(PROGRAMS, self.root / "share", symlinks=True)
        moved = {
            b"/usr/share/backuppc": self.root / "share",
            b"/etc/backuppc": self.root / "etc",
            b"/var/lib/backuppc": self.root / "top",
            b"/run/backuppc": self.root / "run",
        }
        for part in ("bin", "lib", "conf"):
            for file in (self.root / "share" / part).rglob("*"):
                if not file.is_file() or file.is_symlink():
                    continue
                before = after = file.read_bytes()
                for old, new in moved.items():
                    after = after.replace(old, os.fsencode(new))
                if after != before:
                    file.write_bytes(after)
        settings: dict[str, PerlValue] = {
            "BackupPCUser": self.user,
            "TopDir": f"{self.root}/top",
            "ConfDir": f"{self.root}/etc",
            "LogDir": f"{self.root}/log",
            "RunDir": f"{self.root}/run",
            "InstallDir": f"{self.root}/share",
            "RsyncBackupPCPath": str(RSYNC_BPC),
            "ServerHost": "localhost",
            "ServerPort": -1,
            # BackupPC refuses to start when a path that is set cannot be executed; none of these is needed here.
            **dict.fromkeys(("SmbClientPath", "NmbLookupPath", "SshPath", "SendmailPath", "PingPath"), ""),
            **dict.fromkeys(("PingCmd", "NmbLookupCmd", "NmbLookupFindHostCmd", "DfCmd", "DfInodeUsageCmd"), ""),
        }
        lines = [f"$Conf{{{name}}} = {perl(value)};\n" for name, value in settings.items()]
        lines.append("$Conf{WakeupSchedule} = [24];\n1;\n")  # it never begins a dump by itself
        config = (self.root / "share" / "conf" / "config.pl").read_text(encoding="utf-8")
        (self.root / "etc" / "config.pl").write_text(config + "".join(lines), encoding="utf-8")
        (self.root / "etc" / "hosts").write_text("host\tdhcp\tuser\tmoreUsers\n", encoding="utf-8")
        self._give(self.root)

    def add_host(self, name: str, settings: str) -> None:
        """Add a host with these settings (see `fragment`); a running server takes them up at once."""
        file = self.root / "etc" / f"{name}.pl"
        known = file.exists()
        file.write_text(settings, encoding="utf-8")
        file.chmod(0o640)
        self._give(file)
        if not known:
            hosts = self.root / "etc" / "hosts"
            written = hosts.stat().st_mtime
            with hosts.open("a", encoding="utf-8") as table:
                table.write(f"{name}\t0\tadmin\t\n")
            # The server reads it again only when its whole second of change differs.
            os.utime(hosts, (written + 1, written + 1))
        if self._server is not None:
            self.message("server reload")

    # The server

    def start(self, within: float = 20.0) -> None:
        """Start the real server, in the foreground as our child, and wait until its socket is there."""
        (self.root / "run" / "BackupPC.sock").unlink(missing_ok=True)  # of an earlier server
        with (self.root / "log" / "server.out").open("ab") as output:
            self._server = subprocess.Popen(
                self._command("BackupPC"),
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + within
        while not (self.root / "run" / "BackupPC.sock").exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = self._read("log/server.out") + self._read("log/LOG")
                self.stop()
                raise BackupPCError(f"the BackupPC server did not start: {said[-2000:]}")
            time.sleep(0.02)

    @property
    def server_pid(self) -> int | None:
        """The process id of the running server."""
        return self._server.pid if self._server is not None else None

    def shut_down(self, within: float = 20.0) -> None:
        """Stop the server as its service does: SIGTERM to it alone. What its dumps have started may live on.

        It gives each dump INT, and a second later KILL (bin/BackupPC, ServerShutdown).
        """
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(within)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None

    def stop(self, within: float = 10.0) -> None:
        """Stop the server as a reboot does (SIGTERM; it interrupts its dumps), then end what is left of its children."""
        self.shut_down(within)
        deadline = time.monotonic() + within
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

    def processes(self) -> dict[int, str]:
        """Return the processes of this BackupPC that live, hooks included: their command lines by process id.

        They are known by the environment variable that each inherits from us.
        """
        mark = b"VSSPC_LAB_BACKUPPC=" + os.fsencode(self.root) + b"\0"
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark in (entry / "environ").read_bytes() + b"\0":
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found[int(entry.name)] = command
            except (PermissionError, FileNotFoundError, ProcessLookupError):
                continue
        found.pop(os.getpid(), None)
        return found

    def message(self, text: str, within: float = 20.0) -> str:
        """Send the server one message (BackupPC_serverMesg) and return its reply."""
        reply = self._run("BackupPC_serverMesg", *text.split(), within=within)
        if reply.returncode != 0:
            raise BackupPCError(f"the BackupPC server does not answer: {reply.stdout}")
        return reply.stdout.removeprefix("Got reply: ")

    def status(self, host: str) -> dict[str, str]:
        """Return what the server knows of a host (`state`, `reason`, `error`, …), as its pages show it."""
        found = re.findall(r'"(\w+)" => (?:"((?:[^"\\]|\\.)*)"|([^",)]*))', self.message(f"status host({host})"))
        return {key: re.sub(r"\\(.)", r"\1", text) or bare for key, text, bare in found}

    def configure(self, **settings: PerlValue) -> None:
        """Add settings to config.pl, which win over what it had; a running server takes them up at once."""
        config = self.root / "etc" / "config.pl"
        body, end, _ = config.read_text(encoding="utf-8").rpartition("1;")
        added = "".join(f"$Conf{{{name}}} = {perl(value)};\n" for name, value in settings.items())
        config.write_text(f"{body}{added}{end}\n", encoding="utf-8")
        if self._server is not None:
            self.message("server reload")

    # Dumps

    @property
    def as_user(self) -> list[str]:
        """The command prefix that runs a program as BackupPC's user."""
        return _as(self.user) if self.user != pwd.getpwuid(os.geteuid()).pw_name else ["/usr/bin/setpriv"]

    def dump(self, host: str, *, full: bool = True, within: float = 120.0) -> DumpResult:
        """Dump a host with BackupPC_dump itself."""
        before = self._before(host)
        self._run("BackupPC_dump", "-f" if full else "-i", host, within=within)
        return self._result(host, before)

    def request(self, host: str, *, full: bool = True) -> None:
        """Ask the server for a dump, as the button on the host's page does, and return at once."""
        reply = self.message(f"backup {host} {host} admin {int(full)}")
        if "ok" not in reply:
            raise BackupPCError(f"{host}: the server refused the dump: {reply}")

    def cancel(self, host: str) -> str:
        """Stop what runs of a host, as the button on its page does; return the server's reply."""
        return self.message(f"stop {host} admin 0")

    def dump_by_server(self, host: str, *, full: bool = True, within: float = 120.0) -> DumpResult:
        """Have the server dump a host, and wait until it says how that ended."""
        before = self._before(host)
        self.request(host, full=full)
        deadline = before.began + within
        ended = re.compile(rf"(Finished \S+ backup|Backup failed|Backup canceled) on {re.escape(host)}\b")
        while not ended.search(self._read("log/LOG")[before.logs["log/LOG"] :]):
            if time.monotonic() > deadline:
                raise BackupPCError(f"{host}: the dump did not end within {within:g} s: {self.message('status jobs')}")
            time.sleep(0.05)
        return self._result(host, before)

    def backups(self, host: str) -> tuple[Backup, ...]:
        """Return what BackupPC keeps of a host, oldest first."""
        return tuple(Backup.parse(line) for line in self._read(f"top/pc/{host}/backups").splitlines() if line)

    def xferlog(self, host: str) -> str:
        """Return the text of a host's newest XferLOG, that of a failed dump included."""
        logs = self._pc(host, "XferLOG*.z")
        if not logs:
            return ""
        newest = max(logs, key=lambda log: log.stat().st_mtime_ns)
        return self._run("BackupPC_zcat", str(newest), within=20).stdout

    def extract(self, host: str, number: int, share: str, into: Path, within: float = 120.0) -> None:
        """Restore a whole share of one backup into a folder of the caller's (BackupPC_tarCreate).

        Folders, files and links only; owners and modes are the caller's own, so that everything can be compared.
        """
        arguments = ("-h", host, "-n", str(number), "-s", share, "/")
        errors = self.root / "log" / "tarCreate.err"
        with errors.open("wb") as trouble:
            process = subprocess.Popen(
                ["/usr/bin/timeout", f"{within:g}", *self._command("BackupPC_tarCreate", *arguments)],
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=trouble,
            )
            assert process.stdout is not None
            with process.stdout as stream:
                _unpack(stream, into)
            if process.wait() != 0:
                raise BackupPCError(f"{host}: backup {number} cannot be read: {errors.read_text(errors='replace')}")

    def secrets_left(self) -> list[Path]:
        """Return the rsync password files that BackupPC left behind (it does when it is killed in a transfer)."""
        return sorted((self.root / "top" / "pc").glob("*/.rsyncdpw*"))

    # Inside

    def _before(self, host: str) -> _Before:
        logs = ["log/LOG", *(str(log.relative_to(self.root)) for log in self._pc(host, "LOG.*"))]
        return _Before({log: len(self._read(log)) for log in logs}, self.backups(host), time.monotonic())

    def _result(self, host: str, before: _Before) -> DumpResult:
        names = [str(log.relative_to(self.root)) for log in self._pc(host, "LOG.*")]
        pc_log = "".join(self._read(name)[before.logs.get(name, 0) :] for name in names)
        backups = self.backups(host)
        done = re.search(r"\b(full|incr) backup \d+ complete", pc_log)
        partial = backups != before.backups and backups[-1:] != () and backups[-1].type == "partial"
        return DumpResult(
            host=host,
            ok=done is not None,
            state=done[1] if done else "partial" if partial else "failed",
            xferlog=self.xferlog(host),
            pc_log=pc_log,
            server_log=self._read("log/LOG")[before.logs["log/LOG"] :],
            backups=backups,
            seconds=time.monotonic() - before.began,
        )

    def _pc(self, host: str, pattern: str) -> list[Path]:
        return sorted((self.root / "top" / "pc" / host).glob(pattern))

    def _read(self, name: str) -> str:
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _run(self, program: str, *arguments: str, within: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(program, *arguments),
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackupPCError(f"{program} did not end within {within:g} s") from error

    def _command(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of BackupPC's programs: as its user, and ended when we die."""
        return [*self.as_user, "--pdeathsig=TERM", "/usr/bin/perl", str(self.root / "share" / "bin" / program), *arguments]

    def _give(self, path: Path) -> None:
        """Make a file, or a folder and all below it, the property of the user that runs BackupPC."""
        give(path, self.user)


def give(path: Path, user: str) -> None:
    """Make a file, or a folder and all below it, a user's own. Nothing happens when that is the caller."""
    account = pwd.getpwnam(user)
    if account.pw_uid == os.geteuid():
        return
    for each in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())):
        os.lchown(each, account.pw_uid, account.pw_gid)


def adopt(config: Path, user: str) -> Path:
    """Let `user` work with a vsspc.toml and the files that it names (they may be the caller's); return its state_dir."""
    settings = tomllib.loads(config.read_text(encoding="utf-8"))
    state_dir, log_file = Path(settings["state_dir"]), Path(settings["log_file"])
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_file.touch(mode=0o640)
    for path in (state_dir, log_file, Path(settings["defaults"]["credentials_file"])):
        give(path, user)
    return state_dir


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _as(user: str) -> list[str]:
    """Return the command prefix with which root runs a program as a user."""
    account = pwd.getpwnam(user)
    return ["/usr/bin/setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def _unpack(stream: IO[bytes], into: Path) -> None:
    """Unpack a tar stream, keeping to `into` whatever the names say."""
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise BackupPCError(f"the archive has a name that leads outside: {member.name!r}")
            target = into.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                target.mkdir(exist_ok=True)
            elif member.issym():
                target.symlink_to(member.linkname)
            elif member.islnk():
                target.hardlink_to(into.joinpath(*member.linkname.removeprefix("./").split("/")))
            elif member.isfile():
                source = archive.extractfile(member)
                assert source is not None
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
