"""The cmd language, without a host: expansion, the parser, numbers."""

from __future__ import annotations

import pytest

from vsspc.lab import cmdlang
from vsspc.lab.cmdlang import Arguments, Block, CmdError, Condition, For, If, Node, Redirection, Sequence, Simple

ENVIRONMENT = {"SYSTEMROOT": "C:\\Windows", "RC": "1", "EMPTYISH": " ", "NAME": "abcdef"}


def lookup(name: str) -> str | None:
    return ENVIRONMENT.get(name.upper())


def parse(line: str, *following: str) -> Node | None:
    rest = iter(following)
    return cmdlang.Parser(line, lambda: next(rest, None)).parse()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%SystemRoot%\\System32", "C:\\Windows\\System32"),
        ("echo %nothing%x", "echo x"),
        ("100%% sure", "100% sure"),
        ("for %%L in (A B) do echo %%L", "for %L in (A B) do echo %L"),
        ("set /a beat=ticks %% 16", "set /a beat=ticks % 16"),
        ('cd /d "%~dp0"', 'cd /d "C:\\Windows\\vsspc\\"'),
        ("%~nx0 %~f0 %1 %~1 %2 [%9]", 'run.cmd C:\\Windows\\vsspc\\run.cmd "a b" a b c []'),
        ("%*", '"a b" c'),
        ("%name:~1,2% %name:~-2% %name:bc=X%", "bc ef aXdef"),
        ("a % b", "a  b"),
    ],
)
def test_percent_signs_are_replaced_as_in_a_batch_file(line: str, expected: str) -> None:
    arguments = Arguments(('"C:\\Windows\\vsspc\\run"', '"a b"', "c"), "C:\\Windows\\vsspc\\run.cmd")

    assert cmdlang.expand(line, lookup, arguments) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("%nothing% %SystemRoot%", "%nothing% C:\\Windows"), ("100%% 5%", "100%% 5%"), ("%1", "%1")],
)
def test_on_a_command_line_unknown_names_stay(line: str, expected: str) -> None:
    assert cmdlang.expand(line, lookup, None) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", None),
        ("@echo off", Simple("echo off")),
        ("echo a & echo b", Sequence("&", Simple("echo a "), Simple("echo b"))),
        ("a && b || c", Sequence("||", Sequence("&&", Simple("a "), Simple("b ")), Simple("c"))),
        ("a || b && c", Sequence("||", Simple("a "), Sequence("&&", Simple("b "), Simple("c")))),
        ('echo "a & b" ^& c', Simple('echo "a & b" & c')),
        ("call :main >p.out 2>&1", Simple("call :main  ", (Redirection(1, ">", "p.out"), Redirection(2, "&", "1")))),
        (">p.tmp echo 1", Simple("echo 1", (Redirection(1, ">", "p.tmp"),))),
        ('>"C:\\a b\\c.txt" echo x', Simple("echo x", (Redirection(1, ">", "C:\\a b\\c.txt"),))),
        ("echo 1>p.tmp", Simple("echo ", (Redirection(1, ">", "p.tmp"),))),
        ("echo a1>p.tmp", Simple("echo a1", (Redirection(1, ">", "p.tmp"),))),
        ("a >nul 2>&1", Simple("a  ", (Redirection(1, ">", "nul"), Redirection(2, "&", "1")))),
        ("sort <in.txt >>out.txt", Simple("sort  ", (Redirection(0, "<", "in.txt"), Redirection(1, ">>", "out.txt")))),
        ("if exist a.rc del /f a.rc", If(Condition("exist", "a.rc"), Simple("del /f a.rc"))),
        ("if not exist C:\\ exit /b 12", If(Condition("exist", "C:\\", negated=True), Simple("exit /b 12"))),
        ("if errorlevel 1 exit /b 11", If(Condition("errorlevel", "1"), Simple("exit /b 11"))),
        ("if not errorlevel 1 set /a i=0", If(Condition("errorlevel", "1", negated=True), Simple("set /a i=0"))),
        ('if "x"=="y" a', If(Condition("==", '"x"', '"y"'), Simple("a"))),
        ("if /i not 3==4 a", If(Condition("==", "3", "4", negated=True, fold_case=True), Simple("a"))),
        ("if 5 geq 86400 goto expired", If(Condition("geq", "5", "86400"), Simple("goto expired"))),
        ("if x==x a & b", If(Condition("==", "x", "x"), Sequence("&", Simple("a "), Simple("b")))),
        (
            "if exist B:\\x (>>r.tmp echo m=held) else (>>r.tmp echo m=gone)",
            If(
                Condition("exist", "B:\\x"),
                Block((Simple("echo m=held", (Redirection(1, ">>", "r.tmp"),)),)),
                Block((Simple("echo m=gone", (Redirection(1, ">>", "r.tmp"),)),)),
            ),
        ),
        (
            "for %L in (A B) do if exist %L:\\ echo used=%L:\\",
            For("", "L", "A B", If(Condition("exist", "%L:\\"), Simple("echo used=%L:\\"))),
        ),
        ('rd /s /q "C:\\x" & exit', Sequence("&", Simple('rd /s /q "C:\\x" '), Simple("exit"))),
        ("icacls . /grant:r *S-1-5-18:(OI)(CI)F", Simple("icacls . /grant:r *S-1-5-18:(OI)(CI)F")),
        ("rem a & b > c", Simple("rem")),
    ],
)
def test_a_line_is_parsed(line: str, expected: Node | None) -> None:
    assert parse(line) == expected


def test_a_block_takes_further_lines_and_an_else_of_its_own() -> None:
    node = parse("if exist a (", "  echo 1", "  echo 2 ^", "more", ") else (", "echo 3)")

    assert node == If(
        Condition("exist", "a"),
        Block((Simple("echo 1"), Simple("echo 2 more"))),
        Block((Simple("echo 3"),)),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a | b", "a pipe"),
        ("for /f %a in (x) do y", "for /f"),
        ("if x y z", "unexpected"),
        ("a )", None),
        ("if exist", "syntax"),
        ("&& a", "unexpected"),
        ("if exist a (", "end of the file"),
    ],
)
def test_what_is_wrong_or_unknown_never_passes_silently(line: str, message: str | None) -> None:
    if message is None:
        assert parse(line) == Simple(line)
        return
    with pytest.raises(CmdError, match=message):
        parse(line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("33 % 16", 1),
        ("0x10 + 010", 24),
        ("2147483647 + 1", -2147483648),
        ("1 << 4 | 1", 17),
        ("rc + unset", 1),
        ("a=5, b=a*2, b+1", 11),
    ],
)
def test_set_a_reckons_in_32_bits(text: str, expected: int) -> None:
    known = {"RC": "1"}

    def assign(name: str, value: str) -> None:
        known[name.upper()] = value

    assert cmdlang.arithmetic(text, lambda name: known.get(name.upper()), assign) == expected


@pytest.mark.parametrize(
    ("text", "code"), [("1/0", 1073750993), ("08", 1073750992), ("1+", 1073750991), ("1 2", 1073750990)]
)
def test_set_a_fails_with_cmds_own_codes(text: str, code: int) -> None:
    with pytest.raises(CmdError) as failure:
        cmdlang.arithmetic(text, lambda _: None, lambda *_: None)

    assert failure.value.code == code


@pytest.mark.parametrize(
    ("kind", "left", "right", "expected"),
    [
        ("geq", "10", "9", True),
        ("geq", '"10"', '"9"', False),
        ("==", "010", "8", False),
        ("equ", "010", "8", True),
        ("lss", "-1", "0", True),
        ("gtr", "abc", "abb", True),
    ],
)
def test_numbers_are_compared_as_numbers_and_all_else_as_text(kind: str, left: str, right: str, expected: bool) -> None:
    assert cmdlang.compare(kind, left, right) is expected


@pytest.mark.parametrize(
    ("line", "label"), [(":main", "main"), ("  :Main rest", "main"), ("::remark", None), ("echo", None), (":a&b", "a")]
)
def test_labels(line: str, label: str | None) -> None:
    assert cmdlang.label_of(line) == label
