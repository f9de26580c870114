"""What an error shows to whoever looks closely."""

from __future__ import annotations

import traceback
from pathlib import Path

TESTS = Path(__file__).parents[1]


def everything_in(error: BaseException) -> str:
    """Return what the most talkative of debuggers sees of an error: all errors behind it, all frames, all their locals.

    Frames of tests are left out: they know the secret.
    """
    seen: list[str] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        if (one := ahead.pop()) is None:
            continue
        ahead += [one.__cause__, one.__context__]
        seen += [str(one), repr(one), repr(one.args), repr(getattr(one, "__dict__", ""))]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if str(TESTS) not in frame.f_code.co_filename:
                seen += [repr(value) for value in frame.f_locals.values()]
                seen += [repr(list(value.values())) for value in frame.f_locals.values() if isinstance(value, dict)]
    return "\n".join(seen)
