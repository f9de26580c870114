"""One host: what pre and post take, against a bare script that does the same, with stand-ins that take no time and real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.bench import commands, requests
from tests.bench.cycle import Bare, Sample, Shims, Way, Where, cycle, sampled, traced
from tests.bench.figures import Series, gathered
from tests.bench.installed import Product, smbexec
from vsspc.lab.process import LabProcess

Say = Callable[[str], None]

REAL_SECONDS: Mapping[str, float] = {
    "certutil": 0.08,
    "dosdev": 0.03,
    "find": 0.03,
    "fsutil": 0.03,
    "icacls": 0.03,
    "netsh": 0.3,
    "reg": 0.03,
    "rsync": 0.2,
    "taskkill": 0.2,
}
"""Seconds that Windows' programs take where they are not told to wait: the start of a process, and for netsh its helpers.
Assumed, not measured: no Windows was at hand."""
REAL_SHADOW_SECONDS = 5.0
"""Of the making of a shadow copy set: 2 to 30 s are told (docs/speed.md)."""
REAL_SIZES: Mapping[str, int] = {
    "cygwin1.dll": 3_000_000,
    "cygz.dll": 90_000,
    "dosdev.exe": 6_500,
    "rsync.exe": 520_000,
    "vshadow.exe": 350_000,
}
"""Bytes of the programs that an administrator collects, roughly."""

_SMBEXEC_PORT = 445
"""smbexec takes no other but 139."""
_PROMPT = "C:\\Windows\\System32>"


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often things are measured."""

    plain: int
    realistic: int
    starts: int
    delays: int
    dumps: int
    hosts: Sequence[int]
    """How many at once, one number after the other."""


def ways(product: Product, lab: LabProcess) -> list[Way]:
    """Return what is compared everywhere."""
    return [Shims(product, lab), Bare(product, lab, synchronous=False), Bare(product, lab, synchronous=True)]


def flat(way: str, samples: Mapping[str, Sample]) -> dict[str, float]:
    """Return samples by the names of their figures."""
    by_phase = {
        f"{way}/{command}/phases/{phase.name}/{part}": value
        for command, sample in samples.items()
        for phase in sample.phases
        for part, value in (("wall", phase.wall), ("host", phase.host))
    }
    return by_phase | {
        f"{way}/{command}/{part}": float(value)
        for command, sample in samples.items()
        for part, value in (
            ("wall", sample.wall),
            ("tools", sample.tools),
            ("loop", sample.loop),
            ("overhead", sample.overhead),
            ("cpu", sample.cpu),
            ("peak", sample.peak),
        )
    }


def compared(
    compared_ways: Sequence[Way], lab: LabProcess, repeats: int, *, where: Where = nullcontext
) -> dict[str, Series]:
    """Run all ways in turn, so often; the first round, which fills caches, does not count."""
    samples: dict[str, list[dict[str, float]]] = {way.name: [] for way in compared_ways}
    for round_ in range(repeats + 1):
        for way in compared_ways:
            found = flat(way.name, cycle(way, lab, later=round_ / repeats, where=where))
            if round_:
                samples[way.name].append(found)
    return {name: series for found in samples.values() for name, series in gathered(found).items()}


def plain(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure with stand-ins that take no time of their own."""
    say(f"one host, stand-ins without times of their own, {repeats.plain} rounds")
    with LabProcess(tick=1.0, options=("--smb-port", str(_SMBEXEC_PORT))) as lab:
        found = compared(ways(product, lab), lab, repeats.plain)
        found |= gathered(_smbexec(product, lab) for _ in range(repeats.plain))
        for command, trace in traced(product, lab).items():
            if trace.messages != (sent := requests.total(trace.counts)).packets:
                raise commands.CommandFailed(f"{command}: {sent.packets} messages were traced, {trace.messages} were on the wire")
            for count in (*trace.counts, sent):
                found[f"steps/{command}/{count.step}/packets"] = Series.of([count.packets])
                found[f"steps/{command}/{count.step}/requests"] = Series.of([count.requests])
    return found


def _smbexec(product: Product, lab: LabProcess) -> dict[str, float]:
    """Run one command (`cd`, with which it begins) by impacket's smbexec; it ends with its input. Raise CommandFailed."""
    words: list[str | Path] = [smbexec(product.prefix.parents[1]), f"{lab.username}:{lab.password}@{lab.address}"]
    outcome = commands.succeed(words, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
    if _PROMPT not in outcome.output:
        raise commands.CommandFailed(f"smbexec ran nothing:\n{outcome.output}")
    return flat("smbexec", {"command": sampled(lab, outcome)})


def realistic(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure with a bundle, and programs, that take about as long as real ones."""
    say(f"one host, realistic times, {repeats.realistic} rounds")
    with LabProcess(tick=1.0) as lab:
        slow(lab)
        return compared(ways(product, lab), lab, repeats.realistic)


def slow(lab: LabProcess) -> None:
    """Let the host's programs take their time, and its bundle have its size."""
    for tool, seconds in REAL_SECONDS.items():
        lab.inject("tool", tool=tool, seconds=seconds)
    lab.inject("vss-slow", seconds=REAL_SHADOW_SECONDS)
    for name, size in REAL_SIZES.items():
        with Path(lab.bundle, name).open("ab") as file:
            file.truncate(size)
