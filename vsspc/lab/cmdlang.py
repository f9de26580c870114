"""The language of cmd.exe: expansion of %…%, the parser, conditions and `set /a`. Pure: nothing here touches a file.

The order is cmd's own (phases of D. Benham and jeb, "How does the Windows Command Interpreter parse scripts?"):
a physical line has its %…% replaced as it is read; then the parser takes a whole logical line (blocks and carets
may span physical lines); then it runs, and `for` variables are replaced while it runs. So a variable set inside
a block is not seen by %…% in the same block, here as there.

What this lab's cmd does not know raises Unsupported, and never passes silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_LINE = 8191
OPERATORS = ("equ", "neq", "lss", "leq", "gtr", "geq")


class CmdError(Exception):
    """What cmd.exe prints when it gives up on a batch file; `code` is the exit code that it ends with."""

    def __init__(self, text: str, code: int = 255) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.reported = False


class Unsupported(CmdError):
    """Valid for Windows, unknown to the lab."""


def unexpected(text: str) -> CmdError:
    """Return cmd's syntax error about this piece of text."""
    return CmdError(f"{text} was unexpected at this time.")


# ------------------------------------------------------------------ phase 1: %…%


@dataclass(frozen=True, slots=True)
class Arguments:
    """What %0 … %9 stand for in a batch file: the words as given, and the full path of the file."""

    words: tuple[str, ...] = ()
    script: str = ""

    def word(self, index: int) -> str:
        return self.words[index] if index < len(self.words) else ""

    def modified(self, modifiers: str, index: int) -> str:
        """Return `%~dp0` and its like: quotes off, then drive, path, name, extension as asked."""
        text = self.word(index).strip('"')
        if not modifiers:
            return text
        if set(modifiers) - set("fdpnxs"):
            raise Unsupported(f"%~{modifiers}{index}")
        full = self.script if index == 0 else text
        drive, rest = (full[:2], full[2:]) if full[1:2] == ":" else ("", full)
        folder, slash, name = rest.rpartition("\\")
        stem, dot, extension = name.rpartition(".")
        if not dot:
            stem, extension = name, ""
        if "f" in modifiers:
            return full
        return "".join(
            (
                drive if "d" in modifiers else "",
                folder + slash if "p" in modifiers else "",
                stem if "n" in modifiers else "",
                dot + extension if "x" in modifiers else "",
            )
        )


def expand(line: str, lookup: Callable[[str], str | None], arguments: Arguments | None) -> str:
    """Replace %…% in one line. `arguments` is None on a command line, where `%%` and unknown names stay as they are."""
    batch = arguments is not None
    out: list[str] = []
    at = 0
    while at < len(line):
        if line[at] != "%":
            out.append(line[at])
            at += 1
            continue
        if batch and line.startswith("%%", at):
            out.append("%")
            at += 2
            continue
        if arguments is not None:
            if line.startswith("%*", at):
                out.append(" ".join(arguments.words[1:]))
                at += 2
                continue
            found = re.compile(r"%(?:~([a-zA-Z]*))?([0-9])").match(line, at)
            if found:
                index = int(found[2])
                out.append(arguments.word(index) if found[1] is None else arguments.modified(found[1].lower(), index))
                at = found.end()
                continue
        end = line.find("%", at + 1)
        if end == at + 1 or end < 0:
            out.append("" if batch else "%")
            at += 1
            continue
        name, colon, edit = line[at + 1 : end].partition(":")
        value = lookup(name)
        if value is not None:
            out.append(_edited(value, edit) if colon else value)
            at = end + 1
        elif batch:
            at = end + 1
        else:
            out.append("%")
            at += 1
    return "".join(out)


def _edited(value: str, edit: str) -> str:
    """Apply `%NAME:~start,length%` or `%NAME:old=new%`."""
    if edit.startswith("~"):
        numbers = [int(number or "0") for number in edit[1:].split(",")]
        start = numbers[0] if numbers[0] >= 0 else max(0, len(value) + numbers[0])
        if len(numbers) == 1:
            return value[start:]
        return value[start : start + numbers[1]] if numbers[1] >= 0 else value[start : len(value) + numbers[1]]
    old, equals, new = edit.partition("=")
    if not equals or not old or old.startswith("*"):
        raise Unsupported(f"%…:{edit}%")
    return re.sub(re.escape(old), lambda _: new, value, flags=re.IGNORECASE)


# ------------------------------------------------------------------ phase 2: the parser


@dataclass(frozen=True, slots=True)
class Redirection:
    """`handle` is 0, 1 or 2; `mode` is `<`, `>`, `>>` or `&` (a copy of the handle that the target names)."""

    handle: int
    mode: str
    target: str


@dataclass(frozen=True, slots=True)
class Simple:
    """One command with its arguments, as written, carets gone, quotes kept."""

    text: str
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """( … ): commands, one after the other."""

    body: tuple[Node, ...]
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Sequence:
    """Two commands joined by `&`, `&&` or `||`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Condition:
    """What follows `if`. `kind` is exist, defined, errorlevel, == or one of equ neq lss leq gtr geq."""

    kind: str
    left: str
    right: str = ""
    negated: bool = False
    fold_case: bool = False


@dataclass(frozen=True, slots=True)
class If:
    condition: Condition
    then: Node
    otherwise: Node | None = None


@dataclass(frozen=True, slots=True)
class For:
    """`for %%L in (items) do body`; `kind` is "" or "l"."""

    kind: str
    variable: str
    items: str
    body: Node


Node = Simple | Block | Sequence | If | For

_BLANKS = " \t"
DELIMITERS = " \t,;="


class Parser:
    """Parses one logical line; asks `more` for further physical lines (expanded) where a block or a caret wants them."""

    def __init__(self, line: str, more: Callable[[], str | None]) -> None:
        self._text = line
        self._at = 0
        self._more = more

    def parse(self) -> Node | None:
        """Return the command, None for an empty line. Raise CmdError."""
        self._skip(DELIMITERS + "@")
        if self._ended:
            return None
        node = self._sequence(0)
        self._skip(_BLANKS)
        if not self._ended:
            raise unexpected(self._text[self._at])
        return node

    @property
    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _skip(self, characters: str) -> None:
        while not self._ended and self._text[self._at] in characters:
            self._at += 1

    def _sequence(self, depth: int, first: Node | None = None) -> Node:
        node = self._joined(depth, ("||", "&&"), first)
        while True:
            self._skip(_BLANKS)
            if not self._peek("&"):
                return node
            self._at += 1
            self._skip(DELIMITERS)
            if self._ended or (depth and self._peek(")")):
                return node
            node = Sequence("&", node, self._joined(depth, ("||", "&&"), None))

    def _joined(self, depth: int, operators: tuple[str, ...], first: Node | None) -> Node:
        """Parse a chain of the first operator, whose parts are chains of the next: && binds tighter than ||."""
        if not operators:
            return first if first is not None else self._command(depth)
        node = self._joined(depth, operators[1:], first)
        while True:
            self._skip(_BLANKS)
            if not self._peek(operators[0]):
                if self._peek("|") and not self._peek("||"):
                    raise Unsupported("a pipe between commands")
                return node
            self._at += 2
            node = Sequence(operators[0], node, self._joined(depth, operators[1:], None))

    def _command(self, depth: int) -> Node:
        self._skip(DELIMITERS + "@")
        redirections = self._redirections()
        if self._peek("("):
            return self._block(depth, redirections)
        word = re.compile(r"(if|for|rem)(?=[\s/]|$)", re.IGNORECASE).match(self._text, self._at)
        if word:
            keyword = word[1].lower()
            if keyword == "rem":
                self._at = len(self._text)
                return Simple("rem")
            self._at = word.end()
            if redirections:
                raise Unsupported(f"a redirection before {keyword}")
            return self._if(depth) if keyword == "if" else self._for(depth)
        return self._simple(depth, redirections)

    def _redirections(self) -> list[Redirection]:
        found: list[Redirection] = []
        while match := re.compile(r"[ \t]*([0-9]?)(?=[<>])").match(self._text, self._at):
            self._at = match.end()
            found.append(self._redirection(match[1]))
            self._skip(_BLANKS)
        return found

    def _redirection(self, digit: str) -> Redirection:
        """Parse a redirection from its < or > on."""
        mode = self._text[self._at]
        self._at += 1
        if mode == ">" and self._peek(">"):
            mode = ">>"
            self._at += 1
        handle = int(digit) if digit else (0 if mode == "<" else 1)
        if handle > 2:
            raise Unsupported(f"handle {handle}")
        if self._peek("&"):
            target = self._text[self._at + 1 : self._at + 2]
            self._at += 2
            if target not in ("0", "1", "2"):
                raise unexpected("&")
            return Redirection(handle, "&", target)
        self._skip(_BLANKS)
        target = self._word("<>&|()")
        if not target:
            raise CmdError("The syntax of the command is incorrect.")
        return Redirection(handle, mode, target.replace('"', ""))

    def _word(self, stop: str, *, equals: bool = False) -> str:
        """Read up to a blank, an unquoted character of `stop`, or an unquoted `==`."""
        out: list[str] = []
        quoted = False
        while not self._ended:
            character = self._text[self._at]
            if character == '"':
                quoted = not quoted
            elif not quoted:
                if character in _BLANKS or character in stop or (equals and self._peek("==")):
                    break
                if character == "^" and self._at + 1 < len(self._text):
                    self._at += 1
                    character = self._text[self._at]
            out.append(character)
            self._at += 1
        return "".join(out)

    def _block(self, depth: int, before: list[Redirection]) -> Block:
        self._at += 1
        body: list[Node] = []
        while True:
            self._skip(DELIMITERS)
            if self._ended:
                line = self._more()
                if line is None:
                    raise CmdError("The lab's cmd met the end of the file inside ( ).")
                self._text, self._at = line, 0
                if line.lstrip().startswith(":"):
                    self._at = len(line)
                continue
            if self._peek(")"):
                self._at += 1
                break
            body.append(self._sequence(depth + 1))
        return Block(tuple(body), (*before, *self._redirections()))

    def _if(self, depth: int) -> If:
        negated = fold = False
        self._skip(_BLANKS)
        word = self._word("", equals=True)
        while word.lower() in ("/i", "not"):
            negated, fold = negated or word.lower() == "not", fold or word.lower() == "/i"
            self._skip(_BLANKS)
            word = self._word("", equals=True)
        self._skip(_BLANKS)
        if self._peek("=="):
            self._at += 2
            kind, left = "==", word
        elif word.lower() in ("exist", "defined", "errorlevel"):
            kind, left = word.lower(), ""
        else:
            left, kind = word, self._word("").lower()
            if kind not in OPERATORS:
                raise unexpected(kind or word)
        self._skip(_BLANKS)
        operand = self._word("")
        if not operand:
            raise CmdError("The syntax of the command is incorrect.")
        if kind in ("exist", "defined", "errorlevel"):
            condition = Condition(kind, operand, "", negated, fold)
        else:
            condition = Condition(kind, left, operand, negated, fold)
        self._skip(_BLANKS)
        if self._ended:
            raise CmdError("The syntax of the command is incorrect.")
        then = self._command(depth)
        if isinstance(then, Block):
            match = re.compile(r"\s*else(?=[\s(]|$)", re.IGNORECASE).match(self._text, self._at)
            if match:
                self._at = match.end()
                return If(condition, then, self._sequence(depth))
        return If(condition, self._sequence(depth, then))

    def _for(self, depth: int) -> For:
        head = re.compile(r"\s+(?:/([a-z])\s+)?%([^\s%])\s+in\s*\(", re.IGNORECASE).match(self._text, self._at)
        if not head:
            raise Unsupported("for" + self._text[self._at :])
        if head[1] and head[1].lower() != "l":
            raise Unsupported(f"for /{head[1]}")
        self._at = head.end()
        end = self._text.find(")", self._at)
        if end < 0:
            raise CmdError("The syntax of the command is incorrect.")
        items = self._text[self._at : end]
        self._at = end + 1
        do = re.compile(r"\s*do(?=[\s(])", re.IGNORECASE).match(self._text, self._at)
        if not do:
            raise unexpected(self._text[self._at :].strip() or ")")
        self._at = do.end()
        return For((head[1] or "").lower(), head[2], items, self._sequence(depth))

    def _simple(self, depth: int, redirections: list[Redirection]) -> Simple:
        out: list[str] = []
        quoted = escaped = False
        while True:
            if self._ended:
                break
            character = self._text[self._at]
            if character == '"':
                quoted = not quoted
            elif not quoted:
                if character == "^":
                    self._at += 1
                    if self._ended:
                        following = self._more()
                        self._text, self._at = following or "", 0
                        if self._ended:
                            break
                    out.append(self._text[self._at])
                    self._at += 1
                    escaped = True
                    continue
                if character in "&|" or (character == ")" and depth):
                    break
                if character in "<>":
                    # A digit is a handle only where a word could begin: `echo 2>x` gives away its 2, `echo a2>x` does not.
                    digit = ""
                    if out and out[-1] in "0123456789" and not escaped and (len(out) == 1 or out[-2] in DELIMITERS):
                        digit = out.pop()
                    redirections.append(self._redirection(digit))
                    continue
            out.append(character)
            escaped = False
            self._at += 1
        text = "".join(out)
        if not text.strip() and not redirections:
            raise unexpected(self._text[self._at : self._at + 1] or "the end of the line")
        return Simple(text, tuple(redirections))


# ------------------------------------------------------------------ for variables, conditions, labels


def substitute(text: str, variables: dict[str, str]) -> str:
    """Replace the variables of the `for` loops around a command (`%L`, and `%~L` without its quotes)."""
    for name, value in variables.items():
        text = text.replace("%~" + name, value.strip('"')).replace("%" + name, value)
    return text


def number(text: str) -> int | None:
    """Return a number as cmd reads it (decimal, 0x…, octal with a leading 0), None when it is not one."""
    match = re.fullmatch(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\s*", text)
    if not match:
        return None
    digits = match[2]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    value = int(digits, base)
    return wrap(-value if match[1] == "-" else value)


def wrap(value: int) -> int:
    """Return the value as a signed 32-bit number."""
    return (value + 0x80000000) % 0x100000000 - 0x80000000


def compare(kind: str, left: str, right: str, *, fold_case: bool = False) -> bool:
    """Compare as `if` does: quotes count; as numbers where both are (not for ==)."""
    if fold_case:
        left, right = left.lower(), right.lower()
    if kind == "==":
        return left == right
    a, b = number(left), number(right)
    order = (a > b) - (a < b) if a is not None and b is not None else (left > right) - (left < right)
    return {
        "equ": order == 0,
        "neq": order != 0,
        "lss": order < 0,
        "leq": order <= 0,
        "gtr": order > 0,
        "geq": order >= 0,
    }[kind]


def label_of(line: str) -> str | None:
    """Return the label that a line defines, in lower case; None when it defines none."""
    match = re.match(r"[ \t,;=]*:[ \t]*([^\s:+,;=|&<>]+)", line)
    return match[1].lower() if match else None


def words(text: str) -> list[str]:
    """Split arguments as batch files and internal commands do: at blanks and , ; = outside quotes. Quotes stay."""
    return re.findall(r'(?:"[^"]*"?|[^\s,;="])+', text)


# ------------------------------------------------------------------ set /a

_ARITHMETIC = re.compile(r"\s*(<<=|>>=|<<|>>|[-+*/%&|^]=|[-+*/%&|^~!()=,]|[^\s<>=,;()+*/%&|^~!-]+)")
_PRECEDENCE = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))


def arithmetic(text: str, variables: Callable[[str], str | None], assign: Callable[[str, str], None]) -> int:
    """Evaluate `set /a` (32-bit, C's rules), assigning as it says. Raise CmdError with cmd's own text and code."""
    tokens: list[str] = []
    at = 0
    text = text.replace('"', "").rstrip()
    while at < len(text):
        match = _ARITHMETIC.match(text, at)
        if not match:
            raise CmdError("Missing operator.", 1073750990)
        tokens.append(match[1])
        at = match.end()
    value = 0
    expression: list[str] = []
    depth = 0
    for token in (*tokens, ","):
        if token == "," and depth == 0:  # nosec B105  # a token of cmd's
            value = _assignment(expression, variables, assign)
            expression = []
            continue
        depth += {"(": 1, ")": -1}.get(token, 0)
        expression.append(token)
    return value


def _assignment(
    tokens: list[str], variables: Callable[[str], str | None], assign: Callable[[str, str], None]
) -> int:
    if len(tokens) > 1 and (tokens[1] == "=" or (tokens[1].endswith("=") and len(tokens[1]) > 1)):
        right = _assignment(tokens[2:], variables, assign)
        if tokens[1] != "=":
            right = _apply(tokens[1][:-1], _value(tokens[0], variables), right)
        assign(tokens[0], str(right))
        return right
    rest = list(tokens)
    value = _binary(rest, 0, variables)
    if rest:
        raise CmdError("Missing operator.", 1073750990)
    return value


def _binary(tokens: list[str], level: int, variables: Callable[[str], str | None]) -> int:
    if level == len(_PRECEDENCE):
        return _unary(tokens, variables)
    left = _binary(tokens, level + 1, variables)
    while tokens and tokens[0] in _PRECEDENCE[level]:
        operator = tokens.pop(0)
        left = _apply(operator, left, _binary(tokens, level + 1, variables))
    return left


def _unary(tokens: list[str], variables: Callable[[str], str | None]) -> int:
    if not tokens:
        raise CmdError("Missing operand.", 1073750991)
    token = tokens.pop(0)
    if token in ("-", "+", "~", "!"):
        value = _unary(tokens, variables)
        return wrap({"-": -value, "+": value, "~": ~value, "!": int(not value)}[token])
    if token == "(":  # nosec B105  # a token of cmd's
        value = _binary(tokens, 0, variables)
        if not tokens or tokens.pop(0) != ")":
            raise CmdError("Unbalanced parenthesis.", 1073750988)
        return value
    return _value(token, variables)


def _value(token: str, variables: Callable[[str], str | None]) -> int:
    if token[0].isdigit():
        value = number(token)
        if value is None:
            raise CmdError(
                "Invalid number.  Numeric constants are either decimal (17),\r\n"
                "hexadecimal (0x11), or octal (021).",
                1073750992,
            )
        return value
    return number(variables(token) or "0") or 0


def _apply(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise CmdError("Divide by zero error.", 1073750993)
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return wrap(quotient if operator == "/" else left - quotient * right)
    return wrap(
        {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "&": lambda: left & right,
            "|": lambda: left | right,
            "^": lambda: left ^ right,
            "<<": lambda: left << min(right, 32) if right >= 0 else 0,
            ">>": lambda: left >> min(right, 31) if right >= 0 else 0,
        }[operator]()
    )
