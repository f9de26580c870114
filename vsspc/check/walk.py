"""The order of a check: each point once, and none that needs what is not in order. Pure.

A point that cannot be looked at is not left out: the report says so, and names the point that hides it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsspc.core.errors import DeadlineExceeded, Interrupted, VsspcError
from vsspc.core.findings import Finding, Level

Look = Callable[[], Finding | Sequence[Finding] | None]
"""Looks at a point. None: there is nothing to tell of it here. An error of ours is a failure of the point."""


class Walk:
    """What was found so far, in the order in which it was looked at."""

    def __init__(self, begun: Callable[[str], None] = lambda point: None) -> None:
        """`begun` is told each point as it is looked at."""
        self.found: list[Finding] = []
        self._hidden_by: dict[str, tuple[str, ...]] = {}
        self._begun = begun

    def look(self, point: str, look: Look, *, needs: Sequence[str] = ()) -> bool:
        """Look at a point, unless what it needs is not in order; say whether it is usable afterwards.

        Raise Interrupted: a stop ends the whole check.
        """
        roots = tuple(dict.fromkeys(root for one in needs for root in self._hidden_by.get(one, ())))
        if roots:
            self._hidden_by[point] = roots
            names = " and ".join(roots)
            says = f"Not looked at: {names} {'has' if len(roots) == 1 else 'have'} to be in order first."
            self.found.append(Finding(point, Level.SKIPPED, says))
            return False
        self._begun(point)
        try:
            found = look()
        except Interrupted:
            raise
        except VsspcError as error:
            found = failure(point, error)
        for one in [found] if isinstance(found, Finding) else found or ():
            self.add(one)
        return self.usable(point)

    def add(self, finding: Finding, *, hidden_by: str = "") -> None:
        """Take a finding; one that failed, or was not looked at, hides what needs its point.

        `hidden_by` is the point that is to blame, where it is another one.
        """
        self.found.append(finding)
        if finding.level is Level.FAILED or finding.level is Level.SKIPPED:
            self._hidden_by.setdefault(finding.point, (hidden_by or finding.point,))

    def skip(self, points: Sequence[str], why: str) -> None:
        """Say of points why they were not looked at; those that were, keep what was found."""
        told = {one.point for one in self.found}
        for point in points:
            if point not in told:
                self.add(Finding(point, Level.SKIPPED, f"Not looked at: {why}"))

    def usable(self, point: str) -> bool:
        """Say whether what needs this point can be looked at."""
        return point not in self._hidden_by


def failure(point: str, error: VsspcError) -> Finding:
    """Return an error as the finding of a point. One that only took too long is not known to be wrong."""
    level = Level.WARNING if isinstance(error, DeadlineExceeded) else Level.FAILED
    return Finding(point, level, sentence(error.message), error.next_step)


def sentence(text: str) -> str:
    """Return a message as a sentence."""
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""
