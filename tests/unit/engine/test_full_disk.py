"""What a full disk on the host leaves in our files there."""

from __future__ import annotations

from tests.fakes.world import World
from vsspc.core.words import State


def test_an_exit_code_file_that_is_empty_ends_its_job_all_the_same() -> None:
    """Found by `python -m tests.chaos --seed 965944 --only 179`: no later run could settle that host."""
    world = World()
    lease = world.pre()
    world.host.kill(f"vshadow-{lease.run}.exe")
    world.time.hand += 5
    world.host.tick()
    world.host.write(rf"C:\Windows\vsspc\runs\{lease.run}\hold.rc", b"")
    assert world.post(transfer_ok=False).state is State.CLOSED
    world.assert_clean()
