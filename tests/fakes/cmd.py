"""The model's cmd.exe: as much of the language as our scripts use, read from their text.

What it does not know it refuses with an AssertionError: a new kind of line must be taught to it. (The lab has the full
interpreter, with everything that Wine's does; this one runs a thousand scripts in the time in which that one runs one.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.fakes.process import Body, Process, Wish

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

SYSTEM_ROOT = r"C:\Windows"
NOT_FOUND = 9009
_LABEL = re.compile(r"^:([a-z]+)$")
_VARIABLE = re.compile(r"%%|%~dp0|%([A-Za-z_][A-Za-z0-9_]*)%")
_FOR = re.compile(r"for (/l )?(%[A-Za-z]) in \(([^)]*)\) do (.*)")
_IF = re.compile(
    r"if (?P<no>not )?(?:exist (?P<path>\"[^\"]*\"|\S+)|errorlevel (?P<code>\d+)|(?P<left>\S+?)==(?P<right>\S+)"
    r"|(?P<number>\S+) geq (?P<bound>\S+)) (?P<rest>.*)"
)
_REDIRECT = re.compile(r'(?:^|(?<=\s))2?(>>?)(&1|"[^"]*"|[^\s"&]+)\s*')
_SET = re.compile(r"(?:/a )?([a-z]+)(\+?=)(.*)")
_MKLINK = re.compile(r'/D "([^"]+)" \\\\\?\\GLOBALROOT(\\Device\\HarddiskVolumeShadowCopy\d+)\\')
_COUNTED = re.compile(r"^set /a ([a-z]+)\+=1\r?$", re.MULTILINE)
_BOUND = re.compile(r"^if %([a-z]+)% geq (\d+) goto", re.MULTILINE)
_RESET = re.compile(r"^if not errorlevel 1 set /a ([a-z]+)=0\r?$", re.MULTILINE)
_BEAT = re.compile(r"ticks %% (\d+)")

Jump = str
"""What a line may come to: ":label", "/b" (this script ends) or "exit" (cmd ends)."""
Steps = Generator[Wish, None, Jump | None]
Outcome = Jump | Steps | None


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its redirection: `out` is a path, "nul" or None."""

    name: str
    rest: str
    out: str | None = None
    append: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """An `if`."""

    wanted: bool
    path: str | None
    code: str | None
    numbers: tuple[str, str] | None
    words: tuple[str, str] | None
    then: str
    other: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands joined by &, or the turns of a loop."""

    parts: tuple[str, ...]


@lru_cache(maxsize=4096)
def parse(line: str) -> Command | Condition | Sequence:
    """Return what a line means, its variables being replaced already."""
    line = line.strip().removeprefix("@")
    condition = _IF.fullmatch(line)
    if condition:
        then, other = _branches(condition["rest"])
        numbers = (condition["number"], condition["bound"]) if condition["number"] else None
        words = (condition["left"], condition["right"]) if condition["left"] else None
        return Condition(not condition["no"], condition["path"], condition["code"], numbers, words, then, other)
    loop = _FOR.fullmatch(line)
    if loop:
        counted, variable, words_, body = loop.groups()
        return Sequence(tuple(body.replace(variable, value) for value in _values(counted, words_)))
    parts = _split(line)
    if len(parts) > 1:
        return Sequence(tuple(parts))
    if line.startswith("("):
        return Sequence((line[1:-1],))
    out, append = None, False
    for arrows, target in _REDIRECT.findall(line):
        if target != "&1":
            out, append = target.strip('"'), arrows == ">>"
    line = _REDIRECT.sub("", line).strip()
    if line.startswith('"'):
        name, _, rest = line[1:].partition('"')
    else:
        name, _, rest = line.partition(" ")
    return Command(name if "\\" in name else name.lower(), rest.strip(), out, append)


def _group(text: str) -> int:
    """Given a text that begins with a parenthesis, return where its group ends."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return position + 1
    raise AssertionError(f"a parenthesis is open: {text}")


def _branches(text: str) -> tuple[str, str]:
    if not text.startswith("("):
        return text, ""
    end = _group(text)
    other = text[end:].strip()
    assert not other or other.startswith("else "), f"the model does not know: {text}"
    return text[1 : end - 1], other.removeprefix("else ")


def _split(line: str) -> list[str]:
    """Return the commands that & joins, outside of parentheses."""
    parts, depth = [""], 0
    for piece in line.split(" & "):
        parts[-1] += piece
        depth += piece.count("(") - piece.count(")")
        if depth == 0:
            parts.append("")
        else:
            parts[-1] += " & "
    return parts[:-1]


def _values(counted: str | None, words: str) -> list[str]:
    if not counted:
        return words.split()
    first, step, last = (int(number) for number in words.split(","))
    return [str(number) for number in range(first, last + 1, step)]


@lru_cache(maxsize=1024)
def script(data: bytes) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return a script's lines, and after which of them each label stands."""
    lines = tuple(data.decode("ascii").splitlines())
    labels = {found[1]: number for number, line in enumerate(lines, 1) if (found := _LABEL.match(line))}
    return lines, labels


class Cmd:
    """One cmd.exe, at work on a script."""

    def __init__(self, host: Windows, process: Process, variables: Mapping[str, str] = {}) -> None:
        self.host, self.process = host, process
        self.variables: dict[str, str] = {"PROCESSOR_ARCHITECTURE": host.architecture, **variables}
        self.level = 0
        self.here = ""
        self.out: str | None = None
        self._builtins: dict[str, Callable[[str], Outcome]] = {
            "echo": self._echo,
            "setlocal": lambda rest: None,
            "cd": self._cd,
            "ren": self._ren,
            "del": self._del,
            "rd": self._rd,
            "md": self._md,
            "copy": self._copy,
            "move": self._move,
            "mklink": self._mklink,
            "set": self._set,
            "call": self._call,
            "exit": self._exit,
            "goto": lambda rest: f":{rest.removeprefix(':')}",
        }

    # Scripts.

    def main(self, path: str) -> Body:
        """Run a script to its end; return the exit code."""
        yield from self._script(path, 0)
        return self.level

    def _script(self, path: str, at: int) -> Steps:
        before, self.here = self.here, path
        tree, name = self.host.place(path)
        while tree is not None and name in tree.files:  # cmd opens the file anew for each line
            lines, labels = script(tree.files[name])
            if at >= len(lines):
                break
            line = lines[at]
            at += 1
            outcome = self.line(_VARIABLE.sub(self._value, line) if "%" in line else line)
            if outcome is not None and not isinstance(outcome, str):
                outcome = yield from outcome
            if outcome is None:
                continue
            if outcome[0] != ":":
                self.here = before
                return None if outcome == "/b" else outcome
            at = labels[outcome[1:]]
        else:
            self.say("The batch file cannot be found.\r\n")
            self.level = 1
        self.here = before
        return None

    def line(self, line: str) -> Outcome:
        """Do one line, once its variables are replaced."""
        if not line or line[0] == ":":
            return None
        node = parse(line)
        if isinstance(node, Condition):
            chosen = node.then if self._holds(node) is node.wanted else node.other
            return self.line(chosen)
        if isinstance(node, Sequence):
            return self._sequence(node.parts)
        return self._command(node)

    def _value(self, match: re.Match[str]) -> str:
        word = match[0]
        if word == "%%":
            return "%"
        if word == "%~dp0":
            return self.here.rpartition("\\")[0] + "\\"
        if match[1] == "SystemRoot":
            return SYSTEM_ROOT
        return str(self.level) if match[1] == "errorlevel" else self.variables.get(match[1], "")

    def _holds(self, node: Condition) -> bool:
        if node.path is not None:
            return self.host.exists(self.full(node.path.strip('"')))
        if node.code is not None:
            return self.level >= int(node.code)
        if node.numbers is not None:
            return int(node.numbers[0]) >= int(node.numbers[1])
        assert node.words is not None
        return node.words[0] == node.words[1]

    def _sequence(self, parts: tuple[str, ...]) -> Steps:
        for part in parts:
            outcome = self.line(part)
            if outcome is not None and not isinstance(outcome, str):
                outcome = yield from outcome
            if outcome is not None:
                return outcome
        return None

    def _command(self, node: Command) -> Outcome:
        work = self._builtins.get(node.name)
        if node.out is None:
            return work(node.rest) if work else self._program(node)
        before, self.out = self.out, node.out if node.out == "nul" else self.full(node.out)
        if self.out != "nul":
            if not node.append and not self.host.make_file(self.out):
                self.out, self.level = before, 1
                return None
            self.process.holds.add(self.out)
        outcome = work(node.rest) if work else self._program(node)
        if outcome is None or isinstance(outcome, str):
            self._restore(before)
            return outcome
        return self._until(outcome, before)

    def _until(self, steps: Steps, before: str | None) -> Steps:
        outcome = yield from steps
        self._restore(before)
        return outcome

    def _restore(self, before: str | None) -> None:
        if self.out is not None:
            self.process.holds.discard(self.out)
        self.out = before

    # What commands use.

    def full(self, path: str) -> str:
        """Return a path with its drive and folders."""
        return path if path[1:2] == ":" else f"{self.process.cwd}\\{path}"

    def say(self, text: str | bytes) -> None:
        """Write to the standard output."""
        if self.out is not None and self.out != "nul":
            self.host.append(self.out, text.encode("ascii") if isinstance(text, str) else text)

    # Commands.

    def _echo(self, rest: str) -> None:
        if rest != "off":
            self.say(f"{rest}\r\n")

    def _cd(self, rest: str) -> None:
        path = rest.removeprefix("/d ").strip('"').rstrip("\\")
        if self.host.exists(path):
            self.process.cwd = path
        else:
            self.level = 1

    def _ren(self, rest: str) -> None:
        old, new = rest.split()
        path = self.full(old)
        self.level = 0 if self.host.rename(path, f"{path.rpartition(chr(92))[0]}\\{new}") else 1

    def _del(self, rest: str) -> None:
        self.host.delete(self.full(_target(rest)))

    def _rd(self, rest: str) -> None:
        path = self.full(_target(rest))
        gone = self.host.delete_tree(path) if "/s " in rest else self.host.delete_folder(path)
        if not gone:
            self.level = 1

    def _md(self, rest: str) -> None:
        if not self.host.make_folder(self.full(_target(rest))):
            self.level = 1  # Windows' md clears it otherwise, Wine's leaves it: so no script may rely on it

    def _mklink(self, rest: str) -> None:
        found = _MKLINK.fullmatch(rest)
        assert found, f"the model does not know: mklink {rest}"
        self.level = 0 if self.host.make_link(found[1], found[2]) else 1

    def _copy(self, rest: str) -> None:
        source, target = _pair(rest.removeprefix("/b /y "))
        data = self.host.read(self.full(source))
        self.level = 0 if data is not None and self.host.make_file(self.full(target)) else 1
        if data is not None and not self.level:
            self.host.write(self.full(target), data)

    def _move(self, rest: str) -> None:
        source, target = (self.full(path) for path in _pair(rest.removeprefix("/y ")))
        gone = self.host.read(source) is not None and self.host.delete(target)
        self.level = 0 if gone and self.host.rename(source, target) else 1

    def _set(self, rest: str) -> None:
        found = _SET.fullmatch(rest)
        assert found, f"the model does not know: set {rest}"
        name, how, value = found.groups()
        if rest.startswith("/a "):
            number = _number(value, self.variables)
            self.variables[name] = str(int(self.variables.get(name, "0")) + number if how == "+=" else number)
        else:
            self.variables[name] = value

    def _call(self, rest: str) -> Steps:
        target = _target(rest)
        if not target.startswith(":"):
            return self._script(self.full(target), 0)
        if self.here.rpartition("\\")[2].removesuffix(".cmd") in self.host.hang_jobs:
            return _forever()
        tree, name = self.host.place(self.here)
        assert tree is not None
        _, labels = script(tree.files[name])
        return self._script(self.here, labels[target[1:]])

    def _exit(self, rest: str) -> Jump:
        code = rest.removeprefix("/b").strip()
        if code:
            self.level = int(code)
        return "/b" if rest.startswith("/b") else "exit"

    # Programs.

    def _program(self, node: Command) -> Outcome:
        path = self.full(node.name)
        name = path.rpartition("\\")[2].lower()
        if name in self.host.failing:
            self.level = self.host.failing[name]
            return None
        system = self.host.programs.get(name) if path.startswith(SYSTEM_ROOT + r"\System32") else None
        if system is not None:
            result = system(self, node.rest)
            if isinstance(result, float):
                return self._wait(result)
            self.level = result
            return self._wait(self.host.slowness, result) if self.host.slowness else None
        assert "\\" in node.name, f"the model does not know: {node.name} {node.rest}"
        payload = self.host.payload(path, self.host)
        if payload is None:
            self.say(f"'{node.name}' is not recognized as an internal or external command.\r\n")
            self.level = NOT_FOUND
            return None
        return self._child(path, lambda process: payload(self, process, node.rest))

    def _wait(self, seconds: float, code: int = 0) -> Steps:
        yield seconds + self._skipped(seconds)
        self.level = code
        return None

    def _child(self, path: str, body: Callable[[Process], Body]) -> Steps:
        child = self.host.processes.start(path, self.process, self.process.cwd, body, {self.out} if self.out else ())
        if child.code is None:
            yield child
        assert child.code is not None
        self.level = child.code
        return None

    def _skipped(self, seconds: float) -> float:
        """Return for how many seconds more nothing can happen in the holder's loop, whose counters are set on by them.

        Of a day's turns only those are run in which something can happen; how many these are stands in the text.
        """
        left = self.host.processes.behind(self.process) - seconds
        if left < 100 or seconds != 1:
            return 0
        tree, name = self.host.place(self.here)
        text = tree.files[name].decode("ascii") if tree is not None and name in tree.files else ""
        still = set(_RESET.findall(text)) if self.host.reading else set()
        counted = [variable for variable in _COUNTED.findall(text) if variable not in still]
        if "ticks" not in counted:
            return 0
        beat = int(found[1]) if (found := _BEAT.search(text)) else 1
        bounds = [int(limit) - int(self.variables[one]) for one, limit in _BOUND.findall(text) if one in counted]
        turns = max(0, int(min(left, *bounds, left)) // beat - 2) * beat
        for variable in counted:
            self.variables[variable] = str(int(self.variables[variable]) + turns)
        return turns


def _pair(rest: str) -> tuple[str, str]:
    """Return two paths, each of which may be quoted."""
    found = re.fullmatch(r'("[^"]+"|\S+) ("[^"]+"|\S+)', rest)
    assert found, f"the model does not know two paths like {rest}"
    return found[1].strip('"'), found[2].strip('"')


def _target(rest: str) -> str:
    """Return the last word of some arguments, which may be quoted."""
    return rest.rstrip('"').rpartition('"')[2] if rest.endswith('"') else rest.rpartition(" ")[2]


def _number(text: str, variables: dict[str, str]) -> int:
    first, *more = text.split()
    value = int(variables[first]) if first in variables else int(first)
    if more:
        assert more[0] == "%", f"the model does not know: set /a {text}"
        value %= int(more[1])
    return value


def _forever() -> Steps:
    yield None
    return None
