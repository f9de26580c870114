"""Every row of the HRESULT table through the lab's vshadow: tries, pauses, sentence, exit code, and nothing left.

The driver, the transport and the lab are real; the clock is wound on where the driver would wait for long.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.fakes.time import Told
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.psexec import PsexecTransportFactory
from vsspc.adapters.rsyncclient import RsyncProgram
from vsspc.adapters.serverfiles import bundle
from vsspc.adapters.statefiles import StateFiles
from vsspc.core.errors import SnapshotFailed, SnapshotNoSpace, VsspcError
from vsspc.core.secret import Credentials, Secret
from vsspc.core.settings import DEFAULT_TIMEOUTS, HostSettings, RetryTuning
from vsspc.engine.run import HostRun, Ports
from vsspc.lab.process import LabProcess
from vsspc.windows.hresult import TABLE, Kind, Meaning

LONG = 1.0
"""Seconds: longer sleeps are those of the retries; the short ones give the host its time, and are slept."""
GENEROUS = RetryTuning(attempts=4, wait=10.0, cap=3600.0)
BUSY, FLUSH = 0x80042316, 0x80042313


class WoundClock(SystemClock):
    """The system's clock, but a long sleep only moves its hands."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def now(self) -> float:
        return super().now() + sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        if seconds <= LONG:
            super().sleep(seconds)
        else:
            self.pauses.append(seconds)


@dataclass(frozen=True)
class Outcome:
    """What came of a pre: its error, the pauses between the tries, and how often vshadow was to make a shadow copy."""

    error: VsspcError
    pauses: list[float]
    tries: int


class Host:
    """One lab host; every pre on it is a whole run of the real driver."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab

    def pre(self, *, tuning: RetryTuning = GENEROUS, snapshot: float = 3600.0) -> Outcome:
        """Run pre, which must fail. `snapshot` is timeouts.snapshot."""
        lab, clock, before = self.lab, WoundClock(), self._creations()
        state = StateFiles(lab.state / "server")
        settings = HostSettings(
            host="winbox",
            address=lab.address,
            smb_port=lab.smb_port,
            rsync_port=lab.rsync_port,
            engine="vshadow",
            pre_timeout=7200.0,
            timeouts={**DEFAULT_TIMEOUTS, "snapshot": snapshot},
            retry={"connect": GENEROUS, "snapshot": tuning, "release": RetryTuning(5, 0.1, 0.5)},
        )
        account = Credentials(lab.username, Secret(lab.password), "")
        ports = Ports(
            transports=PsexecTransportFactory(host=lab.address, port=lab.smb_port, credentials=account, clock=clock),
            rsync=RsyncProgram(clock),
            sessions=state,
            store=state,
            clock=clock,
            log=Told(),
            token=secrets.token_hex,
            server=state.server_id(),
        )
        try:
            with pytest.raises(VsspcError) as caught:
                HostRun(settings, ports).pre(bundle(lab.bundle))
        finally:
            clock.close()
        return Outcome(caught.value, clock.pauses, self._creations() - before)

    def _creations(self) -> int:
        """How often vshadow was started to make a shadow copy; looking at its usage is none."""
        started = (str(event) for event in self.lab.events.all("process-start"))
        return sum(r"\\bin\\vshadow-" in event and "-exec=" in event for event in started)


@pytest.fixture(scope="module")
def one_host() -> Iterator[Host]:
    """The one host of all rows."""
    with LabProcess(tick=0.02) as lab:
        yield Host(lab)


@pytest.fixture
def host(one_host: Host) -> Iterator[Host]:
    """The host without a fault, and afterwards with nothing of ours on it."""
    yield one_host
    one_host.lab.clear()
    assert not any(one_host.lab.settled().values())


def expected(meaning: Meaning, tuning: RetryTuning) -> tuple[int, tuple[float, float]]:
    """Return how often a row is tried, and between which bounds its pauses lie. Not for the row that is polled."""
    if meaning.again is None:
        return (tuning.attempts if meaning.kind is Kind.TRANSIENT else 1), (tuning.wait, tuning.cap)
    assert meaning.again.attempts is not None
    least, most = meaning.again.wait or (tuning.wait, tuning.cap)
    return min(meaning.again.attempts, tuning.attempts), (min(least, tuning.cap), min(most, tuning.cap))


def assert_as_listed(outcome: Outcome, code: int) -> None:
    """The error, its exit code and its line are those of the row; the line may name the volume that it is about."""
    meaning = TABLE[code]
    assert type(outcome.error) is meaning.error
    assert outcome.error.exit_code == meaning.error.exit_code
    where, _, what = outcome.error.line().partition(": ")
    assert where == "winbox snapshot"
    told = f"{meaning.sentence} ({meaning.symbol}, 0x{code:08x})"
    if meaning.error is SnapshotNoSpace:
        assert what.startswith(f"{told}; shadow storage of C: on C: has ")
        assert what.endswith("`vssadmin resize shadowstorage /for=C: /on=C: /maxsize=20%`.")
    else:
        assert what.removeprefix("C: ").removeprefix("cannot be copied: ") == f"{told}. {meaning.advice}"


@pytest.mark.shows("each HRESULT: tries, pauses, sentence, exit code", engine="vshadow")
@pytest.mark.parametrize("code", [code for code in TABLE if code != BUSY], ids=lambda code: TABLE[code].symbol)
def test_a_row_is_tried_and_told_as_listed(host: Host, code: int) -> None:
    phase = "writer" if TABLE[code].symbol.startswith("VSS_E_WRITERERROR_") else ""  # else where vshadow meets it
    host.lab.inject("vshadow", hresult=f"0x{code:08x}", phase=phase)
    outcome = host.pre()
    assert_as_listed(outcome, code)
    tries, (least, most) = expected(TABLE[code], GENEROUS)
    assert (outcome.tries, len(outcome.pauses)) == (tries, tries - 1)
    assert all(least <= pause <= most for pause in outcome.pauses)


@pytest.mark.parametrize("phase", ["com", "async", "writer"])
def test_a_code_means_the_same_wherever_vshadow_meets_it(host: Host, phase: str) -> None:
    host.lab.inject("vshadow", hresult=f"0x{FLUSH:08x}", phase=phase)
    outcome = host.pre()
    assert_as_listed(outcome, FLUSH)
    assert (outcome.tries, outcome.pauses) == (3, [600.0, 600.0])


def test_the_hosts_tuning_bounds_a_rows_own_tries_and_pauses(host: Host) -> None:
    host.lab.inject("vshadow", hresult=f"0x{FLUSH:08x}")
    outcome = host.pre(tuning=RetryTuning(attempts=2, wait=10.0, cap=60.0))
    assert_as_listed(outcome, FLUSH)
    assert (outcome.tries, outcome.pauses) == (2, [60.0])


def test_a_pause_that_would_end_after_the_deadline_is_not_begun(host: Host) -> None:
    host.lab.inject("vshadow", hresult=f"0x{FLUSH:08x}")
    outcome = host.pre(snapshot=590.0)
    assert_as_listed(outcome, FLUSH)
    assert (outcome.tries, outcome.pauses) == (1, [])


@pytest.mark.shows("each HRESULT: tries, pauses, sentence, exit code", engine="vshadow")
def test_a_set_in_progress_is_asked_for_until_the_deadline_with_jitter(host: Host) -> None:
    host.lab.inject("vshadow", hresult=f"0x{BUSY:08x}")
    outcome = host.pre(tuning=RetryTuning(attempts=1, wait=10.0, cap=60.0), snapshot=120.0)
    assert_as_listed(outcome, BUSY)
    assert outcome.tries == len(outcome.pauses) + 1
    assert all(5 <= pause <= 30 for pause in outcome.pauses)
    assert 120 - 30 - 10 <= sum(outcome.pauses) < 120, "a few seconds go by in the tries themselves"


def test_an_unknown_code_is_tried_once_and_shown_in_hex(host: Host) -> None:
    host.lab.inject("vshadow", hresult="0x80042999")
    outcome = host.pre()
    assert (type(outcome.error), outcome.tries, outcome.pauses) == (SnapshotFailed, 1, [])
    assert outcome.error.line().startswith("winbox snapshot: VSS failed with 0x80042999.")
