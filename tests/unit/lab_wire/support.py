"""What the tests of the lab's wire share: a request of smbd's, events in memory, a launcher that only notes, a drive."""

from __future__ import annotations

from pathlib import Path

from vsspc.lab.launch import Launch, LaunchError

SESSION_KEY = b"\xa5" * 16

FROM_SAMBA_4_17 = bytes.fromhex("""
    0000030e 4e50414d 07000000 07000000 01000000 00000200 04000200 8cad0000
    08000200 0c000200 f8110000 10000200 03000000 00000000 03000000 766d0000
    0a000000 00000000 0a000000 3132372e 302e302e 31000000 03000000 00000000
    03000000 766d0000 0a000000 00000000 0a000000 3132372e 392e382e 37000000
    14000200 00000000 18000200 1c000200 20000200 24000200 00000000 10000000
    a5a5a5a5 a5a5a5a5 a5a5a5a5 a5a5a5a5 00000000 e43b88d8 f43e6f41 9e035132
    de262216 00000000 09000000 09000000 01050000 00000005 15000000 8f1ff5c4
    5d3b6875 bd2fe7aa e8030000 01050000 00000005 15000000 8f1ff5c4 5d3b6875
    bd2fe7aa 01020000 01020000 00000016 02000000 64000000 01010000 00000001
    00000000 01010000 00000005 02000000 01010000 00000005 0b000000 01020000
    00000016 01000000 214e0000 01040000 00000016 33414d53 11030000 02000000
    02000000 01020000 00000016 2485a979 00000000 00000000 00000000 00000000
    00000000 01000000 214e0000 00000000 64000000 00000000 01000000 00000000
    64000000 00000000 28000200 00000000 00000000 2c000200 00000000 30000200
    34000200 38000200 3c000200 40000200 44000200 00000000 00000000 ffffffff
    ffffff7f ffffffff ffffff7f 80efbdab 4e7bdd01 80efbdab 4e7bdd01 ffffffff
    ffffff7f 00000000 10000000 01000000 0e000000 00000000 0e000000 61646d69
    6e697374 7261746f 72000000 07000000 00000000 07000000 53494d57 494e0000
    01000000 00000000 01000000 00000000 01000000 00000000 01000000 00000000
    1f000000 00000000 1f000000 5c5c5349 4d57494e 5c61646d 696e6973 74726174
    6f725c70 726f6669 6c650000 17000000 00000000 17000000 5c5c5349 4d57494e
    5c61646d 696e6973 74726174 6f720000 01000000 00000000 01000000 00000000
    07000000 00000000 07000000 53494d57 494e0000 48000200 4c000200 0e000000
    00000000 0e000000 61646d69 6e697374 7261746f 72000000 0e000000 00000000
    0e00 00004164 6d696e69 73747261 746f7200
""")
"""Level 7 as smbd 4.17.12 of Debian 12 sent it for an encrypted session of `administrator`; the session key, which
stood in clear at 0xa0, is replaced."""


class Events:
    """Events, kept in a list."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    def log(self, event: str, **fields: object) -> None:
        """Keep one event."""
        self.seen.append({"event": event, **fields})

    def of(self, event: str, **fields: object) -> list[dict[str, object]]:
        """Return the events of a kind that have these fields."""
        wanted = {"event": event, **fields}.items()
        return [seen for seen in self.seen if wanted <= seen.items()]


class NotingLauncher:
    """Starts nothing, remembers what it should have started, and knows no `nosuch.exe`."""

    def __init__(self) -> None:
        self.launched: list[Launch] = []

    async def launch(self, request: Launch) -> int:
        """Give out Windows PIDs: 4, 8, 12 ..."""
        if request.executable == "nosuch.exe":
            raise LaunchError(f'Failed to start "{request.executable}" {request.arguments}. [Err=0x2, 2]')
        self.launched.append(request)
        return 4 * len(self.launched)

    async def wait(self, pid: int) -> int:
        """All programs end well."""
        return 0


class Drive:
    """`C:` as a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system_root = root / "Windows"
        self.system_root.mkdir(parents=True)

    def local(self, path: str) -> Path | None:
        """Map a Windows path to where it is here."""
        drive, _, rest = path.partition(":\\")
        return self.root.joinpath(*rest.split("\\")) if drive == "C" else None
