"""cmd.exe of the lab: one Linux process that runs `/d /c …` as a Windows host would.

Batch files and internal commands run here, on the lab's directories; every other program is played by the lab's host
process, behind the tool socket. It imports little, since a job starts in the time that this takes.

Where cmd is odd, this is odd too: the batch file is opened anew for each line, so it may vanish under it.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vsspc.lab import cmdlang
from vsspc.lab.cmdlang import Arguments, Block, CmdError, For, If, Node, Sequence, Simple
from vsspc.lab.events import Events
from vsspc.lab.filecommands import FileCommands
from vsspc.lab.languages import LANGUAGES
from vsspc.lab.paths import InvalidName, NoSuchDrive, PathRefused, normalise
from vsspc.lab.terminal import NO_PATH, Sharing, is_pattern

NOT_RECOGNISED = 9009


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


@dataclass(slots=True)
class Frame:
    """A batch file at work, or one `call :label` inside it."""

    local: str
    arguments: Arguments
    position: int = 0
    line: str = ""
    saved: int = 0


class Console(FileCommands):
    """One cmd.exe."""

    def __init__(self, *, tool_socket: str, **state: Any) -> None:
        """Start it; `state` is what a Terminal is made of."""
        super().__init__(**state)
        self.tool_socket = tool_socket
        self.echo = True
        self.frames: list[Frame] = []
        self.scopes: list[tuple[int, dict[str, str], str]] = []

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
            with suppress(OSError):
                self.echo_bytes(f"\r\n{self.cwd}>{expanded.strip()}")
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

    def items(self, node: For, variables: dict[str, str]) -> Iterator[str]:
        text = cmdlang.substitute(node.items, variables)
        if node.kind == "l":
            start, step, end = (int(word) for word in cmdlang.words(text))
            while step and (start <= end if step > 0 else start >= end):
                yield str(start)
                start += step
            return
        for word in cmdlang.words(text):
            if is_pattern(word):
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
                            # A program's own trouble if its output does not fit on a disk; few look.
                            with suppress(OSError):
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
            self.echo_bytes(rest[1:])
        elif not rest.strip():
            self.out(f"ECHO is {'on' if self.echo else 'off'}.")
        elif rest.strip().lower() in ("on", "off"):
            self.echo = rest.strip().lower() == "on"
        else:
            self.echo_bytes(rest[1:])
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
            self.echo_bytes(f"{known}={self.environment[known]}")
        if not shown:
            self.err(f"Environment variable {name.strip()} not defined")
        self.errorlevel = 0 if shown else 1
        return self.errorlevel

    # -- files

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
        language=LANGUAGES[given["language"]],
    )
    try:
        code = console.run(command_of(given["arguments"]))
    except CmdError as error:
        console.give_up(error)
        code = console.errorlevel
    os.write(given["exit"], (code & 0xFFFFFFFF).to_bytes(4, "little"))
    os._exit(0)
