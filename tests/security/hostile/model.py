"""A run on the model of a host (tests.fakes) whose %SystemRoot% holds what the host likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

from tests.fakes.state import MemoryState
from tests.fakes.world import World
from vsspc.adapters.statefiles import lease_bytes, lease_from
from vsspc.core.errors import VsspcError
from vsspc.core.words import Lease


def pre(files: Mapping[str, bytes]) -> Lease:
    """Put files there, by their paths below %SystemRoot%; make a run. Raise what came of it, and see that it is clean."""
    world = World()
    root, now = world.host.root, world.host.wall()
    for path, data in files.items():
        root.make_parents(path, now)
        root.files[path] = data
        root.written[path] = now
    with readable_leases():
        try:
            return world.pre()
        except VsspcError:
            assert not world.host.daemons
            raise


@contextmanager
def readable_leases() -> Iterator[None]:
    """See that every lease that is saved can be read again."""
    save = MemoryState.save

    def checked(state: MemoryState, lease: Lease) -> None:
        assert lease_from(lease_bytes(lease)) == lease
        save(state, lease)

    with patch.object(MemoryState, "save", checked):
        yield
