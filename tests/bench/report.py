"""The figures as tables for people, and as JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.bench.figures import Figures, Series, below, slope
from tests.bench.targets import CONTROL, FEW, MANY, Target, growth

_BEGIN, _END = "<!-- tables of `make bench` -->", "<!-- end of the tables -->"
_PARTS = ("wall", "tools", "loop", "overhead", "cpu", "peak")
NAMES = {
    "vsspc/pre": "vsspc-pre",
    "floor/pre": "pre, floor (a)",
    "synchronous/pre": "pre, synchronous (b)",
    "vsspc/post": "vsspc-post",
    "floor/post": "post, floor (a)",
    "synchronous/post": "post, synchronous (b)",
    "smbexec/command": "one command, smbexec (c)",
}
_STARTS = {
    "interpreter": "Python alone",
    "version": "vsspc --version",
    "connected": "vsspc-pre, until it is connected",
    "speaking": "vsspc-pre, until its first SMB message",
}
_SECTIONS = {"plain": "stand-ins take no time", "realistic": "realistic times"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its columns aligned; the first is text, the others are numbers."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        first, *others = (cell.ljust(width) if not at else cell.rjust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join([first, *others])} |"

    rule = [f"{'-' * (width + 1)}{':' if at else '-'}" for at, width in enumerate(widths)]
    return "\n".join([row(lines[0]), f"|{'|'.join(rule)}|", *map(row, lines[1:])])


def seconds(series: Series) -> str:
    """Return a median in seconds with its quartiles."""
    return f"{series.median:.3f} ({series.low:.3f}-{series.high:.3f})"


def megabytes(series: Series) -> str:
    """Return a median of bytes in MB."""
    return f"{series.median / 1e6:.1f}"


def compared(figures: Figures, section: str) -> str:
    """Return the table of one section: what each way's pre and post took."""
    own = below(figures, section)
    rows = [
        [NAMES[name], *(_cell(own[f"{name}/{part}"], part) for part in _PARTS)]
        for name in NAMES
        if f"{name}/overhead" in own
    ]
    return table([_SECTIONS.get(section, section), "wall, s", "Windows, s", "holder's loop, s", "overhead, s", "CPU, s", "peak, MB"], rows)


def _cell(series: Series, part: str) -> str:
    return megabytes(series) if part == "peak" else seconds(series)


def by_step(figures: Figures) -> str:
    """Return the SMB messages of each step."""
    own = below(figures, "plain/steps")
    rows = [
        [name.replace("/", ", "), *(f"{own[f'{name}/{part}'].median:.0f}" for part in ("packets", "requests"))]
        for name in dict.fromkeys(name.rpartition("/")[0] for name in own)
    ]
    return table(["step", "SMB messages", "requests in them"], rows)


def profile(figures: Figures, section: str) -> str:
    """Return where the milliseconds of pre and post go."""
    rows = []
    for command in ("pre", "post"):
        own = below(figures, f"{section}/vsspc/{command}/phases")
        for name in dict.fromkeys(name.rpartition("/")[0] for name in own):
            wall, host = own[f"{name}/wall"].median, own[f"{name}/host"].median
            rows.append([f"{command}, {name}", *(f"{1000 * value:.0f}" for value in (wall, host, wall - host))])
    return table([f"where the time goes, {_SECTIONS[section]}", "ms", "of it Windows", "ours"], rows)


def starts(figures: Figures) -> str:
    """Return what the start of the process takes."""
    own = below(figures, "starts")
    return table(["start of the process", "wall, s"], [[_STARTS[name], seconds(own[f"{name}/wall"])] for name in _STARTS])


def far(figures: Figures) -> str:
    """Return how the overhead grows with the delay."""
    own = below(figures, "delay")
    delays = sorted({int(name.split("/")[0]) for name in own})
    rows = []
    for name in (name for name in NAMES if f"{delays[0]}/{name}/overhead" in own):
        found = [own[f"{delay}/{name}/overhead"] for delay in delays]
        trips = slope([(delay / 1000, series.median) for delay, series in zip(delays, found, strict=True)])
        rows.append([NAMES[name], *map(seconds, found), f"{trips:.0f}"])
    return table(["overhead, s, by delay", *(f"{delay} ms" for delay in delays), "round trips"], rows)


def many(figures: Figures) -> str:
    """Return what a command takes of so many at once."""
    rows = []
    for number, name, of in _crowds(figures):
        peaks = f"{megabytes(of['peak'])}, at most {max(of['peak'].values) / 1e6:.1f}"
        cells = [f"{of['all'].median:.2f}", seconds(of["wall"]), seconds(of["cpu"]), peaks, f"{of['failed'].median:.0f}"]
        rows.append([f"{number} hosts, {name}", *cells])
    return table(["at once", "all of them, s", "each: wall, s", "CPU, s", "peak, MB", "failed"], rows)


def work(figures: Figures) -> str:
    """Return what a command does, of so many at once: what takes longer where this stays the same is the machine's."""
    rows = []
    for number, name, of in _crowds(figures):
        counts = (f"{of[part].median:.0f}" for part in ("messages", "faults", "waits", "preempted"))
        rows.append([f"{number} hosts, {name}", *(f"{of[part].median:.3f}" for part in ("user", "system")), *counts])
    head = ["each, of so many at once", "CPU, user, s", "CPU, system, s", "SMB messages", "page faults", "waits", "preempted"]
    return table(head, rows)


def grown(figures: Figures) -> str:
    """Return how the processor time of a command grows from few hosts to many, and that of the controls beside it."""
    rows = []
    for command in ("pre", "post"):
        machine = growth(figures, f"{command}/{CONTROL}", "cpu")
        for what, title in ((command, command), (f"{command}/{CONTROL}", f"the control beside {command}")):
            few, most = (figures[f"hosts/{number}/{what}/cpu"].median for number in (FEW, MANY))
            own = growth(figures, what, "cpu")
            rows.append([title, f"{few:.3f}", f"{most:.3f}", f"{own:.2f}", f"{own / machine:.2f}"])
    return table([f"processor time, {MANY} hosts against {FEW}", f"{FEW}, s", f"{MANY}, s", "times", "against the control's"], rows)


def _crowds(figures: Figures) -> Iterator[tuple[int, str, dict[str, Series]]]:
    """Yield what is known of each number of hosts and command."""
    own = below(figures, "hosts")
    for number in sorted({int(name.split("/")[0]) for name in own}):
        for command in ("pre", "post"):
            yield number, command, below(own, f"{number}/{command}")


def transfer(figures: Figures) -> str:
    """Return how fast a dump is."""
    rows = [[f"rsyncd {name}", *(f"{value / 1e6:.0f}" for value in (s.median, s.low, s.high))] for name, s in (
        ("through vsspc", figures["dump/vsspc/rate"]), ("alone", figures["dump/bare/rate"])
    )]
    return table(["the dump", "MB/s", "quartile", "quartile"], rows)


def judged(found: Sequence[Target]) -> str:
    """Return a line for each target."""
    rows = [
        [
            one.name,
            f"{one.measured:.3g} {one.unit}",
            f"{'≥' if one.at_least else '≤'} {one.limit:g} {one.unit}",
            "ok" if one.met else "MISSED",
        ]
        for one in found
    ]
    return table(["target", "measured", "limit", ""], rows)


def text(figures: Figures, found: Sequence[Target]) -> str:
    """Return all tables of what was measured."""
    parts = [compared(figures, section) for section in _SECTIONS if f"{section}/vsspc/pre/overhead" in figures]
    parts += [profile(figures, section) for section in _SECTIONS if below(figures, f"{section}/vsspc/pre/phases")]
    if "plain/steps/pre/all/packets" in figures:
        parts.append(by_step(figures))
    if "starts/speaking/wall" in figures:
        parts.append(starts(figures))
    if "delay/20/vsspc/pre/overhead" in figures:
        parts.append(far(figures))
    if below(figures, "hosts"):
        parts += [many(figures), work(figures)]
    if all(f"hosts/{number}/pre/{CONTROL}/cpu" in figures for number in (FEW, MANY)):
        parts.append(grown(figures))
    if "dump/ratio" in figures:
        parts.append(transfer(figures))
    return "\n\n".join([*parts, judged(found)])


def headed(about: Mapping[str, Any], tables: str) -> str:
    """Return the tables under a line that says what was measured, when, and on what."""
    on = about["machine"]
    where = f"{on['cpu']}, {on['cores']} cores, {on['memory_gib']} GiB, Linux {on['kernel']}"
    programs = f"Python {on['python']}, rsync {on['rsync']}, Samba {on['samba']}"
    return f"Commit {about['commit']}, {about['when'][:10]}, on {where}; {programs}.\n\n{tables}"


def placed(document: str, tables: str) -> str:
    """Return a document with these tables in the place of those that it has. Raise ValueError when it has no such place."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the document has no {_BEGIN} and {_END}")
    return f"{before}{_BEGIN}\n{tables}\n{_END}{after}"


def record(figures: Figures, found: Sequence[Target], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run as JSON: of each figure median, quartiles and number of values; and each target."""
    return {
        **about,
        "figures": {
            name: [*(_short(value) for value in (series.median, series.low, series.high)), len(series.values)]
            for name, series in figures.items()
        },
        "targets": [
            {"name": t.name, "measured": _short(t.measured), "limit": t.limit, "unit": t.unit, "met": t.met} for t in found
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def written(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return runs as JSON text, a figure or target a line."""
    text_ = json.dumps(runs, indent=1, ensure_ascii=False)
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda found: " ".join(found[0].split()), text_) + "\n"
