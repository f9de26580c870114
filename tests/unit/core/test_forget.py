"""An error that is kept leads to no variable of the frames that it came through."""

from __future__ import annotations

from vsspc.core.errors import DaemonNotReady, WrongContent, forget_variables


def knows(secret: str) -> None:
    kept = [secret]
    try:
        raise ValueError("behind it")
    except ValueError as error:
        raise WrongContent("of ours") from error
    finally:
        assert kept


def test_frames_of_an_error_and_of_those_behind_it_are_emptied() -> None:
    try:
        try:
            knows("Sentinel")
        except WrongContent:
            raise DaemonNotReady("later") from None
    except DaemonNotReady as error:
        chain = [error, error.__context__, error.__context__.__context__ if error.__context__ else None]
        forget_variables(error)
        for one in chain[1:]:
            assert one is not None and one.__traceback__ is not None
            at = one.__traceback__
            frames = [at] + ([at.tb_next] if at.tb_next else [])
            variables = [frame.tb_frame.f_locals for frame in frames if frame.tb_frame.f_code.co_name == "knows"]
            assert variables == [{}]
