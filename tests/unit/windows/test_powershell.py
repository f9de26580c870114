"""The PowerShell snippets: grammar for Windows PowerShell 5.1, a small vocabulary, no text built from data.

No PowerShell runs here, nor Microsoft's parser, so what a snippet may say is kept small. The grammar
is tree-sitter's, which takes `&&`, `||` and a bare `try`, and takes offence at switch clauses that share a line; what it
lets pass is looked for in its tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from vsspc.core.words import Mapping, ShadowCopy, Volume
from vsspc.windows import scripts
from vsspc.windows.names import Names
from vsspc.windows.scripts import Way

SNIPPETS = {
    entry.name: entry.read_text("utf-8") for entry in files("vsspc.windows").iterdir() if entry.name.endswith(".ps1")
}
PARSER = Parser(Language(tree_sitter_powershell.language()))

COMMANDS = {
    "Get-Content": {"-LiteralPath", "-Raw"},
    "ConvertFrom-Json": set(),
    "Add-Type": {"-Namespace", "-Name", "-MemberDefinition"},
    "Write-Output": set(),
    "Write-Host": set(),
    "ConvertTo-Json": {"-Compress"},
    "Invoke-CimMethod": {"-ClassName", "-MethodName", "-Arguments"},
    "Get-CimInstance": {"-ClassName"},
    "Remove-CimInstance": set(),
    "Where-Object": {"-EQ"},
    "Add-Content": {"-LiteralPath", "-Value", "-Encoding"},
}
"""What a snippet may call, with which parameters: all of them are in 5.1 (Microsoft.PowerShell.* module reference)."""
VARIABLES = {"$File", "$order", "$one", "$true", "$_", "$ErrorActionPreference", "$ProgressPreference"} | {
    "$volume", "$wanted", "$made", "$told", "$copy", "$id",
}  # fmt: skip
"""No $args, no $input, no $env:…: what a snippet knows comes from its JSON file."""
TYPES = {"[string]", "[void]", "[Vsspc.Dos]"}

_BUILDS_TEXT = {
    "expandable_string_literal": "a string that expands variables",
    "expandable_here_string_literal": "a here-string that expands variables",
    "format_operator": "a string that is formatted",
    "command_invokation_operator": "a command that is called by value",
    "sub_expression": "a sub-expression",
    "script_block_expression": "a script block",
}
_OPERATORS = {"+": "text or numbers joined", "-join": "text joined", "-replace": "text replaced", "+=": "text joined"}
_CASTS = re.compile(r"\[(?:scriptblock|powershell|wmiclass|wmi|adsi|xml|string\]::)", re.IGNORECASE)


def nodes(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node: Node) -> str:
    """Return a node's source."""
    return (node.text or b"").decode("utf-8").strip()


def faults(source: str) -> list[str]:
    """Return what is wrong with a snippet, each with its line; an empty list when nothing is."""
    found: list[tuple[int, str]] = []
    if not source.isascii():
        found.append((0, "not ASCII: 5.1 reads a file without a byte order mark in the ANSI code page"))
    if re.search(r"^\s*switch\b.*\}.*\}", source, re.MULTILINE | re.IGNORECASE):
        found.append((0, "switch clauses that share a line: one a line, so that the grammar can be checked"))
    if _CASTS.search(source):
        found.append((0, "a type that makes code or objects of text"))
    for node in nodes(PARSER.parse(source.encode()).root_node):
        line = node.start_point[0] + 1
        found += [(line, why) for why in _faults_of(node)]
    return [f"{line}: {why}" for line, why in found]


def _faults_of(node: Node) -> Iterator[str]:
    kind = node.type
    if node.is_error or node.is_missing:
        yield f"grammar: {text(node)[:30]}"
    elif kind in ("&&", "||"):
        yield f"{kind} is of PowerShell 7"
    elif kind == "try_statement" and not {child.type for child in node.children} & {"catch_clauses", "finally_clause"}:
        yield "try without catch or finally"
    elif kind in _BUILDS_TEXT:
        yield _BUILDS_TEXT[kind]
    elif kind in _OPERATORS and node.parent is not None and node.parent.type != "string_literal":
        yield _OPERATORS[kind]
    elif kind == "variable" and text(node) not in VARIABLES:
        yield f"the variable {text(node)}"
    elif kind == "type_literal" and text(node) not in TYPES:
        yield f"the type {text(node)}"
    elif kind == "command":
        name = next((text(child) for child in node.children if child.type == "command_name"), "")
        if name not in COMMANDS:
            yield f"the command {name or text(node)[:30]}"
        else:
            given = {text(one) for one in nodes(node) if one.type == "command_parameter"}
            yield from (f"{name} {parameter}" for parameter in sorted(given - COMMANDS[name]))


# What is ours.


@pytest.mark.parametrize("source", SNIPPETS.values(), ids=SNIPPETS.keys())
def test_a_snippet_is_in_order(source: str) -> None:
    assert faults(source) == []
    assert faults(source.replace("\n", "\r\n")) == [], "as it is uploaded"
    assert "\t" not in source and "\r" not in source


@pytest.mark.parametrize("source", SNIPPETS.values(), ids=SNIPPETS.keys())
def test_a_snippet_tells_by_its_exit_code_and_shows_no_progress(source: str) -> None:
    assert "$ErrorActionPreference = 'Stop'\n$ProgressPreference = 'SilentlyContinue'\ntry {" in source
    statements = [line.strip() for line in source.splitlines()]
    assert statements.count("exit 0") == 1
    assert source.rstrip().endswith("} catch {\n    Write-Output $_.Exception.Message\n    exit 1\n}")


@pytest.mark.parametrize("source", SNIPPETS.values(), ids=SNIPPETS.keys())
def test_a_snippet_has_one_parameter_and_only_reads_it_as_the_name_of_a_json_file(source: str) -> None:
    tree = PARSER.parse(source.encode()).root_node
    parameters = [text(node) for node in nodes(tree) if node.type == "script_parameter"]
    assert parameters == ["[Parameter(Mandatory = $true)][string]$File"]
    assert source.count("$File") == 2
    assert "$order = Get-Content -LiteralPath $File -Raw | ConvertFrom-Json\n" in source


def test_what_add_type_compiles_is_literal() -> None:
    tree = PARSER.parse(SNIPPETS["dosdevice.ps1"].encode()).root_node
    code = [text(node) for node in nodes(tree) if node.type == "verbatim_here_string_characters"]
    expected = (
        "@'\n"
        '[DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]\n'
        "public static extern bool DefineDosDevice(uint flags, string device, string target);\n"
        "'@"
    )
    assert code == [expected]


def test_letters_are_defined_raw_and_removed_by_exact_match() -> None:
    """DDD_RAW_TARGET_PATH 1, DDD_REMOVE_DEFINITION 2, DDD_EXACT_MATCH_ON_REMOVE 4 (Microsoft, DefineDosDeviceW)."""
    tree = PARSER.parse(SNIPPETS["dosdevice.ps1"].encode()).root_node
    calls = [text(node) for node in nodes(tree) if node.type == "invokation_expression"]
    define = "[Vsspc.Dos]::DefineDosDevice(1, $one.letter, $one.target)"
    remove = "[Vsspc.Dos]::DefineDosDevice(7, $one.letter, $one.target)"
    assert calls == [define, remove]
    branch = next(node for node in nodes(tree) if node.type == "if_statement")
    assert text(branch).startswith("if ($order.action -eq 'define') {")
    first, _, second = text(branch).partition("} else {")
    assert f"if (-not {define}) {{" in first and "exit 1" in first
    assert f"[void]{remove}" in second and "exit" not in second


def test_a_shadow_copy_is_recorded_before_anything_else_and_deleted_by_its_id_only() -> None:
    source = SNIPPETS["shadowcopy.ps1"]
    steps = [line.strip() for line in source.splitlines()]
    created = steps.index("$made = Invoke-CimMethod -ClassName Win32_ShadowCopy -MethodName Create -Arguments $wanted")
    recorded = steps.index("Add-Content -LiteralPath $order.record -Value $made.ShadowID -Encoding ASCII")
    assert [one for one in steps[created + 1 : recorded] if "ReturnValue" not in one] == [
        "Write-Host 'vsspc-shadowcopy:' $told", "exit 1", "}", "try {",
    ]  # fmt: skip
    removals = [one for one in steps if "Remove-CimInstance" in one]
    pipeline = "Get-CimInstance -ClassName Win32_ShadowCopy | Where-Object ID -EQ {} | Remove-CimInstance"
    assert removals == [pipeline.format("$made.ShadowID"), pipeline.format("$id")]
    assert "$wanted = @{ Volume = $volume; Context = 'ClientAccessible' }" in steps


def test_shadow_copies_are_made_by_cmdlets_alone_since_a_constrained_language_mode_allows_no_more() -> None:
    tree = PARSER.parse(SNIPPETS["shadowcopy.ps1"].encode()).root_node
    kinds = {node.type for node in nodes(tree)}
    assert "invokation_expression" not in kinds and "verbatim_here_string_characters" not in kinds
    assert {text(node) for node in nodes(tree) if node.type == "type_literal"} == {"[string]"}


@pytest.mark.parametrize("action", ["define", "remove"])
def test_the_command_line_is_the_same_whatever_the_data(action: str) -> None:
    names = Names("0123456789ab")
    expected = (
        r'"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -NonInteractive'
        f" -ExecutionPolicy Bypass -OutputFormat Text -File dosdevice.ps1 {action}.json"
    )
    for number in (1, 77):
        device = rf"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy{number}"
        mappings = [Mapping(ShadowCopy(Volume("C:"), "{0}", device), "B:")]
        unmap = scripts.unmap(names, [(Way.POWERSHELL, mappings)])
        script = scripts.map_job(names, Way.POWERSHELL, mappings, programs={}, again=False) if action == "define" else unmap
        lines = [line for line in script.splitlines() if "powershell.exe" in line.lower()]
        assert [line.removeprefix("if exist powershell.txt ").removesuffix(" >nul 2>&1") for line in lines] == [expected]


# The checks themselves.


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("Write-Output 'a'\nif ($true) {", "grammar"),
        ("Write-Output ('a'", "grammar"),
        ("Write-Output 'a", "grammar"),
        ("foreach ($one on $order) { exit 1 }", "grammar"),
        ("Write-Output 'a' |", "grammar"),
        ("if ($one -eq) { exit 1 }", "grammar"),
        ("$one =", "grammar"),
        ("$one = @' x\n'@", "grammar"),
        ("$one = $true ? 1 : 2", "grammar"),
        ("$one = $order ?? 1", "grammar"),
        ("$one ??= 1", "grammar"),
        ("$order?.devices", "grammar"),
        ("Write-Output 'a' && Write-Output 'b'", "&&"),
        ("Write-Output 'a' || Write-Output 'b'", "||"),
        ("try { exit 1 }", "try without"),
        ("switch ($one) { $true { 1 } default { 2 } }", "switch clauses"),
        ("Write-Output 'é'", "ASCII"),
        ('Write-Output "a $one"', "expands"),
        ('$one = @"\n$order\n"@', "expands"),
        ("Write-Output ('{0}' -f $one)", "formatted"),
        ("Write-Output ('a' + $one)", "joined"),
        ("$one += 'a'", "joined"),
        ("$one = $order -join ','", "joined"),
        ("$one = $order -replace 'a', 'b'", "replaced"),
        ("Write-Output $($one)", "sub-expression"),
        ("& $one", "by value"),
        (". $one", "by value"),
        ("$one = { exit 1 }", "script block"),
        ("Invoke-Expression $one", "Invoke-Expression"),
        ("iex $one", "iex"),
        ("vssadmin list shadows", "vssadmin"),
        ("[scriptblock]::Create($one)", "text"),
        ("[IO.File]::Delete($one)", "the type"),
        ("Write-Output $env:USERNAME", "$env:"),
        ("Write-Output $args", "$args"),
        ("$order = Get-Content -Path $File", "-Path"),
        ("$order = Get-Content -LiteralPath $File | ConvertFrom-Json -AsHashtable", "-AsHashtable"),
        ("Add-Type -TypeDefinition $one", "-TypeDefinition"),
    ],
)
def test_a_bad_snippet_is_flagged(source: str, word: str) -> None:
    assert any(word in fault for fault in faults(source)), faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "Write-Output '&& || ? : ??'",
        "# a && b\nexit 0",
        "try { exit 1 } catch { exit 2 }",
        "try { exit 1 } finally { exit 2 }",
        "switch ($one) {\n    $true { exit 1 }\n    default { exit 2 }\n}",
        "if (-not $one.letter) { exit 1 } else { exit 0 }",
    ],
)
def test_a_good_snippet_is_not(source: str) -> None:
    assert faults(source) == []
