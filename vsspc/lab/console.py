"""cmd.exe of the lab: one Linux process that runs `/d /c …` as a Windows host would.

Batch files and internal commands run here, on the lab's directories; every other program is played by the lab's host
process, behind the tool socket. It imports little, since a job starts in the time that this takes.

Where cmd is odd, this is odd too: the batch file is opened anew for each line (so it may vanish under it), DEL
always clears the errorlevel, RD never touches it, a file written by `>` cannot be deleted, renamed or written by
another (sharing violation: here a `flock`), and the current folder of a process cannot be removed.
Which internal command sets the errorlevel: D. Benham, "Which cmd.exe internal commands clear the ERRORLEVEL to 0
upon success?" (Stack Overflow 34968009).
"""

from __future__ import annotations

import base64
import errno
import fcntl
import fnmatch
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vsspc.lab import cmdlang
from vsspc.lab.cmdlang import Arguments, Block, CmdError, For, If, Node, Sequence, Simple
from vsspc.lab.events import Events
from vsspc.lab.paths import Drives, InvalidName, NoSuchDrive, PathRefused, entry, normalise

NOT_RECOGNISED = 9009
SHARING = "The process cannot access the file because it is being used by another process."
NO_FILE = "The system cannot find the file specified."
NO_PATH = "The system cannot find the path specified."
DENIED = "Access is denied."


class ExitConsole(Exception):
    """`exit N`: the whole process ends."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class LeaveBatch(Exception):
    """`exit /b`, `goto :eof`, or a batch file that another one was started from without `call`."""


class Goto(Exception):
    """`goto`: the batch file goes on at this position."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class Sharing(OSError):
    """Another process has the file open."""


def reason(error: OSError) -> str:
    """Return the system's message for a failed file operation."""
    if isinstance(error, Sharing) or (isinstance(error, PermissionError) and not isinstance(error, PathRefused)):
        return SHARING if isinstance(error, Sharing) or error.errno == errno.EACCES else DENIED
    if isinstance(error, PathRefused):
        return DENIED
    if isinstance(error, InvalidName):
        return "The filename, directory name, or volume label syntax is incorrect."
    if isinstance(error, (NoSuchDrive, NotADirectoryError)):
        return NO_PATH
    if isinstance(error, FileNotFoundError):
        folder = os.path.dirname(str(error.filename or ""))
        return NO_FILE if os.path.isdir(folder) else NO_PATH
    return DENIED


def claim(path: str) -> None:
    """Raise Sharing when a process of the lab holds this file or folder open."""
    if os.path.islink(path):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if os.access(path, os.R_OK) else -1
    if descriptor < 0:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Sharing(errno.ETXTBSY, "in use", path) from None
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class Frame:
    """A batch file at work, or one `call :label` inside it."""

    local: str
    arguments: Arguments
    position: int = 0
    line: str = ""
    saved: int = 0


class Console:
    """One cmd.exe."""

    def __init__(
        self,
        *,
        state: str,
        pid: int,
        account: str,
        cwd: str,
        environment: dict[str, str],
        tool_socket: str,
        events: Events,
    ) -> None:
        self.pid = pid
        self.drives = Drives(state, account)
        self.environment = dict(environment)
        self.tool_socket = tool_socket
        self.events = events
        self.errorlevel = 0
        self.echo = True
        self.handles = [0, 1, 2]
        self.frames: list[Frame] = []
        self.scopes: list[tuple[int, dict[str, str], str]] = []
        self._cwd_descriptor = -1
        self.cwd = "C:\\"
        self.change_folder(cwd)

    # ------------------------------------------------------------------ what it knows

    def variable(self, name: str) -> str | None:
        """Return a variable's value, whatever the case of its name; None when it is not set."""
        wanted = name.upper()
        for known, value in self.environment.items():
            if known.upper() == wanted:
                return value
        return {"ERRORLEVEL": str(cmdlang.wrap(self.errorlevel)), "CD": self.cwd}.get(wanted)

    def assign(self, name: str, value: str) -> None:
        """Set a variable; an empty value removes it."""
        for known in [known for known in self.environment if known.upper() == name.upper()]:
            del self.environment[known]
        if value:
            self.environment[name] = value

    def local(self, path: str, *, follow: bool = True) -> str:
        return self.drives.local(path.replace('"', ""), self.cwd, follow=follow)

    def change_folder(self, path: str) -> None:
        """Make a folder the current one, and hold it open as Windows does. Raise OSError."""
        full = normalise(path, self.cwd)
        descriptor = os.open(self.local(full), os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if self._cwd_descriptor >= 0:
            os.close(self._cwd_descriptor)
        self._cwd_descriptor = descriptor
        self.cwd = full

    def out(self, text: str) -> None:
        self.write(1, (text + "\r\n").encode("latin-1", "replace"))

    def err(self, text: str) -> None:
        self.write(2, (text + "\r\n").encode("latin-1", "replace"))

    def write(self, handle: int, data: bytes) -> None:
        """Write to a standard handle; a reader that is gone is no error, as for a Windows console."""
        try:
            while data:
                data = data[os.write(self.handles[handle], data) :]
        except BrokenPipeError:
            pass

    # ------------------------------------------------------------------ running

    def run(self, command: str) -> int:
        """Run what follows `/c`; return the exit code (signed, 32 bits)."""
        try:
            self.execute_line(command, None)
        except ExitConsole as end:
            return end.code
        except LeaveBatch:
            pass
        except CmdError as error:
            self.give_up(error)
        return self.errorlevel

    def report(self, error: CmdError) -> None:
        """Print what cmd prints when it gives up on a batch file, once, where its output goes at that moment."""
        if error.reported:
            return
        error.reported = True
        if isinstance(error, cmdlang.Unsupported):
            self.err(f"vsspc lab: this cmd.exe does not know: {error.text}")
            self.events.log("cmd-unsupported", text=error.text, pid=self.pid)
        else:
            self.err(error.text)
            self.events.log("cmd-error", text=error.text, pid=self.pid)

    def give_up(self, error: CmdError) -> None:
        """End all batch files."""
        self.report(error)
        self.frames.clear()
        self.errorlevel = error.code

    def execute_line(self, line: str, frame: Frame | None) -> None:
        """Expand, parse and run one logical line. Raise CmdError."""

        def more() -> str | None:
            following = self.next_line(frame) if frame else None
            return None if following is None else self.expand(following, frame)

        expanded = self.expand(line, frame)
        if frame and self.echo and not expanded.lstrip().startswith("@") and expanded.strip():
            self.out(f"\r\n{self.cwd}>{expanded.strip()}")
        node = cmdlang.Parser(expanded, more).parse()
        if node is not None:
            self.execute(node, {})

    def expand(self, line: str, frame: Frame | None) -> str:
        if len(line) > cmdlang.MAX_LINE:
            raise CmdError("The input line is too long.", 1)
        expanded = cmdlang.expand(line, self.variable, frame.arguments if frame else None)
        if len(expanded) > cmdlang.MAX_LINE:
            raise CmdError("The input line is too long.", 1)
        return expanded

    def next_line(self, frame: Frame) -> str | None:
        """Return the batch file's next physical line, None at its end. The file is opened anew, as cmd does it."""
        try:
            with open(frame.local, "rb") as stream:
                stream.seek(frame.position)
                line = stream.readline()
        except FileNotFoundError:
            raise CmdError("The batch file cannot be found.", 1) from None
        if not line:
            return None
        frame.position += len(line)
        return line.decode("latin-1").rstrip("\r\n").partition("\x1a")[0]

    def batch(self, local: str, full: str, words: list[str], start: int = 0) -> int:
        """Run a batch file from `start` to its end; return the errorlevel."""
        if start == 0:
            with open(local, "rb") as stream:
                data = stream.read()
            if b"\n" in data.replace(b"\r\n", b""):
                self.events.log("script-not-crlf", script=full, pid=self.pid)
        frame = Frame(local, Arguments(tuple(words), full), start, saved=len(self.scopes))
        self.frames.append(frame)
        try:
            while (line := self.next_line(frame)) is not None:
                if cmdlang.label_of(line) is not None or line.lstrip().startswith(":"):
                    continue
                try:
                    self.execute_line(line, frame)
                except Goto as jump:
                    frame.position = jump.position
        except LeaveBatch:
            pass
        except CmdError as error:
            self.report(error)
            raise
        finally:
            if self.frames:
                self.frames.pop()
            self.leave_scopes(frame.saved)
        return self.errorlevel

    def leave_scopes(self, count: int) -> None:
        while len(self.scopes) > count:
            _, self.environment, folder = self.scopes.pop()
            try:
                self.change_folder(folder)
            except OSError:
                continue

    def execute(self, node: Node, variables: dict[str, str]) -> int:
        """Run a parsed command; return its own return code, which && and || look at."""
        if isinstance(node, Simple):
            return self.simple(node, variables)
        if isinstance(node, Sequence):
            code = self.execute(node.left, variables)
            if node.operator == "&&" and code:
                return code
            if node.operator == "||":
                if not code:
                    return code
                self.errorlevel = code
            return self.execute(node.right, variables)
        if isinstance(node, If):
            if self.holds(node.condition, variables):
                return self.execute(node.then, variables)
            return self.execute(node.otherwise, variables) if node.otherwise is not None else 0
        if isinstance(node, For):
            code = 0
            for value in self.items(node, variables):
                code = self.execute(node.body, {**variables, node.variable: value})
            return code
        return self.block(node, variables)

    def block(self, node: Block, variables: dict[str, str]) -> int:
        code = 0
        try:
            with self.redirected(node.redirections, variables):
                for command in node.body:
                    code = self.execute(command, variables)
        except OSError as error:
            return self.failed(error)
        return code

    def failed(self, error: OSError) -> int:
        self.err(reason(error))
        self.errorlevel = 1
        return 1

    @contextmanager
    def redirected(self, redirections: tuple[cmdlang.Redirection, ...], variables: dict[str, str]) -> Iterator[None]:
        """Point the standard handles where the redirections say, and back. Raise OSError before anything ran."""
        before = list(self.handles)
        opened: list[int] = []
        try:
            for redirection in redirections:
                if redirection.mode == "&":
                    self.handles[redirection.handle] = self.handles[int(redirection.target)]
                    continue
                opened.append(self.open(cmdlang.substitute(redirection.target, variables), redirection.mode))
                self.handles[redirection.handle] = opened[-1]
        except OSError:
            self.handles = before
            for descriptor in opened:
                os.close(descriptor)
            raise
        try:
            yield
        finally:
            self.handles = before
            for descriptor in opened:
                os.close(descriptor)

    def open(self, target: str, mode: str) -> int:
        if target.lower() in ("nul", "nul:"):
            return os.open(os.devnull, os.O_RDWR)
        path = self.local(target)
        if mode == "<":
            return os.open(path, os.O_RDONLY)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Sharing(errno.ETXTBSY, "in use", path) from None
        if mode == ">":
            os.ftruncate(descriptor, 0)
        return descriptor

    def holds(self, condition: cmdlang.Condition, variables: dict[str, str]) -> bool:
        left = cmdlang.substitute(condition.left, variables)
        if condition.kind == "errorlevel":
            level = cmdlang.number(left)
            if level is None:
                raise cmdlang.unexpected(left)
            result = cmdlang.wrap(self.errorlevel) >= level
        elif condition.kind == "defined":
            result = self.variable(left) is not None
        elif condition.kind == "exist":
            result = self.exists(left.replace('"', ""))
        else:
            right = cmdlang.substitute(condition.right, variables)
            result = cmdlang.compare(condition.kind, left, right, fold_case=condition.fold_case)
        return result != condition.negated

    def exists(self, path: str) -> bool:
        if path.lower() in ("nul", "con"):
            return True
        try:
            if "*" in path or "?" in path:
                return bool(self.matching(path))
            local = self.local(path)
        except OSError:
            return False
        return os.path.isdir(local) if path.endswith(("\\", "/")) else os.path.exists(local)

    def matching(self, pattern: str, *, folders: bool = True) -> list[str]:
        """Return the Windows paths that a wildcard pattern means (in the last name only), as prefix + name."""
        folder, slash, wanted = pattern.replace("/", "\\").replace('"', "").rpartition("\\")
        place = self.local(folder + slash if slash else ".")
        if not os.path.isdir(place):
            return []
        wanted = "*" if wanted == "*.*" else wanted
        return [
            folder + slash + name
            for name in sorted(os.listdir(place), key=str.lower)
            if fnmatch.fnmatchcase(name.lower(), wanted.lower().replace("[", "[[]"))
            and (folders or not os.path.isdir(os.path.join(place, name)))
        ]

    def items(self, node: For, variables: dict[str, str]) -> Iterator[str]:
        text = cmdlang.substitute(node.items, variables)
        if node.kind == "l":
            start, step, end = (int(word) for word in cmdlang.words(text))
            while step and (start <= end if step > 0 else start >= end):
                yield str(start)
                start += step
            return
        for word in cmdlang.words(text):
            if "*" in word or "?" in word:
                yield from self.matching(word, folders=False)
            else:
                yield word

    def simple(self, node: Simple, variables: dict[str, str]) -> int:
        try:
            with self.redirected(node.redirections, variables):
                text = cmdlang.substitute(node.text, variables)
                return self.command(text) if text.strip() else 0
        except OSError as error:
            return self.failed(error)

    # ------------------------------------------------------------------ commands

    def command(self, text: str) -> int:
        """Run one command with its handles in place; return its return code."""
        text = text.lstrip(cmdlang.DELIMITERS)
        if text.startswith(":"):
            return 0
        internal = re.match(r"([a-zA-Z]+)(?=[\s./\\(:,;=\[\]+]|$)", text)
        if internal:
            method = getattr(self, "do_" + internal[1].lower(), None)
            if method is not None:
                try:
                    code = method(text[internal.end() :])
                except OSError as error:
                    return self.failed(error)
                assert isinstance(code, int)
                return code
        return self.external(text)

    def external(self, text: str, *, call: bool = False) -> int:
        """Run a batch file or a program."""
        if text.startswith('"'):
            name, _, arguments = text[1:].partition('"')
            typed = f'"{name}"'
        else:
            match = re.match(r"[^\s,;=/]+", text)
            name = typed = match[0] if match else text
            arguments = text[len(name) :]
        try:
            found = self.search(name)
        except (NoSuchDrive, InvalidName, PathRefused, NotADirectoryError):
            found = ""
        if not found:
            folder = name.replace("/", "\\").rpartition("\\")[0]
            if found == "" or (folder and not os.path.isdir(self.local(folder))):
                self.err(NO_PATH)
                self.errorlevel = 3
                return 3
            self.err(f"'{typed}' is not recognized as an internal or external command,\r\n"
                     "operable program or batch file.")  # fmt: skip
            self.events.log("cmd-not-recognized", command=name, pid=self.pid)
            self.errorlevel = NOT_RECOGNISED
            return NOT_RECOGNISED
        if found.lower().endswith((".cmd", ".bat")):
            code = self.batch(self.local(found), found, [typed, *cmdlang.words(arguments)])
            if not call and self.frames:
                raise LeaveBatch
            return code
        self.errorlevel = self.program(found, typed + arguments)
        return self.errorlevel

    def search(self, name: str) -> str | None:
        """Return the full path of a program as cmd finds it; None when there is none. Raise OSError for a bad path."""
        stem = name.replace("/", "\\")
        places = [self.cwd]
        if "\\" not in stem and ":" not in stem:
            places += [folder for folder in (self.variable("PATH") or "").split(";") if folder]
        extensions = (self.variable("PATHEXT") or ".COM;.EXE;.BAT;.CMD").lower().split(";")
        has_extension = "." in stem.rpartition("\\")[2]
        for place in places:
            for extension in ([""] if has_extension else []) + extensions:
                try:
                    full = normalise(stem + extension, place)
                    local = self.drives.local(full)
                except (NoSuchDrive, InvalidName):
                    if place == self.cwd and len(places) == 1:
                        raise
                    continue
                if os.path.isfile(local):
                    return full
        return None

    def program(self, image: str, command_line: str) -> int:
        """Have the lab's host play a program; return its exit code (signed)."""
        request = {
            "image": image,
            "command_line": command_line,
            "cwd": self.cwd,
            "parent": self.pid,
            "environment": self.environment,
            "hosted": True,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.tool_socket)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                for line in stream:
                    message = json.loads(line)
                    if "exit" in message:
                        return cmdlang.wrap(int(message["exit"]))
                    for handle, key in ((1, "stdout"), (2, "stderr")):
                        if key in message:
                            self.write(handle, base64.b64decode(message[key]))
        raise ExitConsole(255)  # The lab is going away.

    # -- control of flow

    def do_call(self, rest: str) -> int:
        frame = self.frames[-1] if self.frames else None
        text = cmdlang.expand(rest, self.variable, frame.arguments if frame else None).strip()
        if not text.startswith(":"):
            internal = re.match(r"([a-zA-Z]+)(?=[\s./(]|$)", text)
            if internal and hasattr(self, "do_" + internal[1].lower()):
                self.errorlevel = 0
                return self.command(text)
            return self.external(text, call=True)
        if frame is None:
            self.err("Invalid attempt to call batch label outside of batch script.")
            self.errorlevel = 1
            return 1
        words = cmdlang.words(text[1:])
        position = self.find_label(frame, words[0] if words else "")
        if position is None:
            self.err(f"The system cannot find the batch label specified - {words[0] if words else ''}")
            self.errorlevel = 1
            return 1
        return self.batch(frame.local, frame.arguments.script, [frame.arguments.word(0), *words[1:]], position)

    def find_label(self, frame: Frame, label: str) -> int | None:
        """Return the position after a label: searched from here to the end of the file, then from its start."""
        wanted = re.split(r"[\s:+,;=|&<>]", label, maxsplit=1)[0].lower()
        with open(frame.local, "rb") as stream:
            lines = stream.read().split(b"\n")
        found: list[int] = []
        position = 0
        for line in lines:
            position += len(line) + 1
            if cmdlang.label_of(line.decode("latin-1")) == wanted:
                found.append(position)
        return next((place for place in found if place > frame.position), found[0] if found else None)

    def do_goto(self, rest: str) -> int:
        label = rest.strip()
        if label.lower() == ":eof":
            raise LeaveBatch
        if not self.frames:
            raise cmdlang.Unsupported("goto outside a batch file")
        position = self.find_label(self.frames[-1], label.lstrip(": "))
        if position is None:
            raise CmdError(f"The system cannot find the batch label specified - {label.lstrip(':')}", 1)
        raise Goto(position)

    def do_exit(self, rest: str) -> int:
        words = cmdlang.words(rest)
        leave = bool(words) and words[0].lower() == "/b"
        if leave:
            del words[0]
        if words:
            value = cmdlang.number(words[0])
            if value is None:
                raise cmdlang.Unsupported(f"exit {rest.strip()}")
            self.errorlevel = value
        if leave:
            raise LeaveBatch
        raise ExitConsole(self.errorlevel)

    def do_shift(self, rest: str) -> int:
        if rest.strip() or not self.frames:
            raise cmdlang.Unsupported(f"shift{rest}")
        frame = self.frames[-1]
        frame.arguments = Arguments(frame.arguments.words[1:], frame.arguments.script)
        return 0

    def do_setlocal(self, rest: str) -> int:
        if rest.strip().lower() not in ("", "enableextensions"):
            raise cmdlang.Unsupported(f"setlocal{rest}")
        self.scopes.append((len(self.frames), dict(self.environment), self.cwd))
        self.errorlevel = 0
        return 0

    def do_endlocal(self, rest: str) -> int:
        base = self.frames[-1].saved if self.frames else 0
        self.leave_scopes(max(base, len(self.scopes) - 1))
        return 0

    def do_rem(self, rest: str) -> int:
        return 0

    def do_title(self, rest: str) -> int:
        return 0

    # -- output and variables

    def do_echo(self, rest: str) -> int:
        if rest[:1] in tuple(".:(/\\,;=[]+"):
            self.out(rest[1:])
        elif not rest.strip():
            self.out(f"ECHO is {'on' if self.echo else 'off'}.")
        elif rest.strip().lower() in ("on", "off"):
            self.echo = rest.strip().lower() == "on"
        else:
            self.out(rest[1:])
        return 0

    def do_ver(self, rest: str) -> int:
        self.out("\r\nMicrosoft Windows [Version 10.0.19045.4412]")
        return 0

    def do_set(self, rest: str) -> int:
        text = rest.lstrip()
        if text[:2].lower() == "/a":
            try:
                value = cmdlang.arithmetic(text[2:], self.variable, self.assign)
            except CmdError as error:
                self.err(error.text)
                self.errorlevel = error.code
                return error.code
            if not self.frames:
                self.write(1, str(value).encode())
            self.errorlevel = 0
            return 0
        if text[:2].lower() == "/p":
            raise cmdlang.Unsupported("set /p")
        if text.startswith('"'):
            text = text[1:].rpartition('"')[0] if '"' in text[1:] else text[1:]
        name, equals, value_text = text.partition("=")
        if equals:
            if not name:
                raise CmdError("The syntax of the command is incorrect.", 1)
            self.assign(name, value_text)
            self.errorlevel = 0
            return 0
        shown = sorted(known for known in self.environment if known.upper().startswith(name.strip().upper()))
        for known in shown:
            self.out(f"{known}={self.environment[known]}")
        if not shown:
            self.err(f"Environment variable {name.strip()} not defined")
        self.errorlevel = 0 if shown else 1
        return self.errorlevel

    # -- files

    def do_cd(self, rest: str) -> int:
        words = rest.strip()
        change_drive = words[:2].lower() == "/d"
        target = words[2:].strip() if change_drive else words
        target = target.replace('"', "")
        if not target:
            self.out(self.cwd)
        else:
            full = normalise(target, self.cwd)
            if full[:2] != self.cwd[:2] and not change_drive:
                raise cmdlang.Unsupported("cd to another drive without /d")
            if not os.path.isdir(self.local(full)):
                raise NoSuchDrive(errno.ENOENT, "no such folder", full)
            self.change_folder(full)
        self.errorlevel = 0
        return 0

    do_chdir = do_cd

    def switches(self, rest: str) -> tuple[set[str], list[str]]:
        """Split arguments into lower-case switches and the others, without their quotes."""
        words = [piece for word in cmdlang.words(rest) for piece in re.findall(r'/[^/"]+|[^/].*', word)]
        flags = {word.lower() for word in words if word.startswith("/")}
        return flags, [word.replace('"', "") for word in words if not word.startswith("/")]

    def do_md(self, rest: str) -> int:
        _, names = self.switches(rest)
        if not names:
            raise CmdError("The syntax of the command is incorrect.", 1)
        self.errorlevel = 0
        for name in names:
            local = self.local(name)
            if os.path.lexists(local):
                self.err(f"A subdirectory or file {name} already exists.")
                self.errorlevel = 1
            else:
                os.makedirs(local, mode=0o755)
        return self.errorlevel

    do_mkdir = do_md

    def do_rd(self, rest: str) -> int:
        """RD never sets the errorlevel, but || sees its failure."""
        flags, names = self.switches(rest)
        if flags - {"/s", "/q"}:
            raise cmdlang.Unsupported(f"rd{rest}")
        code = 0
        for name in names:
            try:
                local = self.local(name, follow=False)
                if os.path.islink(local):
                    os.unlink(local)
                elif not os.path.lexists(local):
                    raise FileNotFoundError(errno.ENOENT, "missing", local)
                elif not os.path.isdir(local):
                    self.err("The directory name is invalid.")
                    code = 267
                elif "/s" in flags:
                    if "/q" not in flags:
                        raise cmdlang.Unsupported("rd /s without /q asks")
                    code = self.remove_tree(local) or code
                elif os.listdir(local):
                    self.err("The directory is not empty.")
                    code = 145
                else:
                    claim(local)
                    os.rmdir(local)
            except OSError as error:
                self.err(reason(error))
                code = 2 if isinstance(error, FileNotFoundError) else 32
        return code

    do_rmdir = do_rd

    def remove_tree(self, local: str) -> int:
        """Delete a folder and what is in it, never through a link; go on where something is in use."""
        code = 0
        for name in os.listdir(local):
            path = os.path.join(local, name)
            try:
                if os.path.isdir(path) and not os.path.islink(path):
                    code = self.remove_tree(path) or code
                else:
                    claim(path)
                    os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.err(f"{path.rpartition('/')[2]} - {DENIED if isinstance(error, Sharing) else reason(error)}")
                code = 32
        if not code:
            try:
                claim(local)
                os.rmdir(local)
            except OSError as error:
                self.err(reason(error))
                code = 32
        return code

    def do_del(self, rest: str) -> int:
        """DEL always clears the errorlevel, also when it fails."""
        flags, names = self.switches(rest)
        if flags - {"/f", "/q", "/a"}:
            raise cmdlang.Unsupported(f"del{rest}")
        if not names:
            raise CmdError("The syntax of the command is incorrect.", 1)
        self.errorlevel = 0
        for name in names:
            wild = "*" in name or "?" in name
            found = self.matching(name, folders=False) if wild else [name]
            for each in found:
                local = self.local(each, follow=False)
                if os.path.isdir(local) and not os.path.islink(local):
                    raise cmdlang.Unsupported(f"del of a folder: {each}")
                if not os.path.lexists(local):
                    found = []
                    break
                try:
                    claim(local)
                    os.unlink(local)
                except OSError as error:
                    self.err(f"{normalise(each, self.cwd)}\r\n{DENIED if self.is_image(local) else reason(error)}")
            if not found:
                self.err("Could Not Find " + (name if wild else normalise(name, self.cwd)))
        return 0

    do_erase = do_del

    def is_image(self, local: str) -> bool:
        return local.lower().endswith((".exe", ".dll"))

    def do_ren(self, rest: str) -> int:
        _, names = self.switches(rest)
        if len(names) != 2 or "\\" in names[1] or ":" in names[1]:
            raise CmdError("The syntax of the command is incorrect.", 1)
        source = self.local(names[0], follow=False)
        target = os.path.join(os.path.dirname(source), names[1])
        other = entry(os.path.dirname(source), names[1])
        if not os.path.lexists(source):
            self.err(NO_FILE if os.path.isdir(os.path.dirname(source)) else NO_PATH)
            self.errorlevel = 1
        elif other is not None and other != source:
            self.err("A duplicate file name exists, or the file\r\ncannot be found.")
            self.errorlevel = 1
        else:
            claim(source)
            os.rename(source, target)
            self.errorlevel = 0
        return self.errorlevel

    do_rename = do_ren

    def do_copy(self, rest: str) -> int:
        return self.transfer(rest, shutil.copyfile, "copied")

    def do_move(self, rest: str) -> int:
        return self.transfer(rest, os.replace, "moved")

    def transfer(self, rest: str, act: object, verb: str) -> int:
        flags, names = self.switches(rest)
        if flags - {"/y", "/b"} or len(names) != 2 or any(set(name) & set("*?+") for name in names):
            raise cmdlang.Unsupported(f"{verb}{rest}")
        source, target = self.local(names[0]), self.local(names[1])
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(source))
        if not os.path.isfile(source):
            self.err(NO_FILE)
            self.errorlevel = 1
            return 1
        if os.path.exists(target):
            claim(target)
        assert callable(act)
        act(source, target)
        self.out(f"        1 file(s) {verb}.")
        self.errorlevel = 0
        return 0

    def do_type(self, rest: str) -> int:
        _, names = self.switches(rest)
        for name in names:
            with open(self.local(name), "rb") as stream:
                while data := stream.read(65536):
                    self.write(1, data)
        self.errorlevel = 0
        return 0

    def do_dir(self, rest: str) -> int:
        flags, names = self.switches(rest)
        if flags != {"/b"}:
            raise cmdlang.Unsupported(f"dir{rest}: the lab knows dir /b")
        pattern = names[0] if names else "."
        if not set(pattern) & set("*?"):
            pattern = pattern.rstrip("\\") + "\\*" if os.path.isdir(self.local(pattern)) else pattern
        found = self.matching(pattern) if set(pattern) & set("*?") else [n for n in [pattern] if self.exists(n)]
        for each in found:
            self.out(each.rpartition("\\")[2])
        if not found:
            self.err("File Not Found")
        self.errorlevel = 0 if found else 1
        return self.errorlevel


def command_of(arguments: str) -> str:
    """Return what `cmd.exe ARGUMENTS` is to run. Raise Unsupported for a cmd without /c.

    The quotes around the whole (cmd /?): with /s, or unless there are exactly two quotes around a plain program name,
    the first and the last one go when the text begins with one.
    """
    strip_quotes = False
    rest = arguments.strip()
    while match := re.match(r"/([a-zA-Z])(:\S+)?\s*", rest):
        rest = rest[match.end() :]
        if match[1].lower() == "s":
            strip_quotes = True
        if match[1].lower() == "c":
            text = rest.rstrip()
            plain = text.count('"') == 2 and not re.search(r"[&<>()@^|]", text) and text.endswith('"')
            if text.startswith('"') and (strip_quotes or not plain):
                head, _, tail = text[1:].rpartition('"')
                return head + tail
            return text
        if match[1].lower() not in "dsqaue":
            break
    raise cmdlang.Unsupported(f"cmd.exe {arguments}")


def main() -> None:
    """Run one cmd.exe; argv[1] is its JSON description (see vsspc.lab.host). The exit code goes to descriptor `exit`."""
    given = json.loads(sys.argv[1])
    events = Events(given["events"])
    console = Console(
        state=given["state"],
        pid=given["pid"],
        account=given["account"],
        cwd=given["cwd"],
        environment=json.loads(os.environ["VSSPC_LAB_ENVIRONMENT"]),
        tool_socket=given["tool_socket"],
        events=events,
    )
    try:
        code = console.run(command_of(given["arguments"]))
    except CmdError as error:
        console.give_up(error)
        code = console.errorlevel
    os.write(given["exit"], (code & 0xFFFFFFFF).to_bytes(4, "little"))
    os._exit(0)
