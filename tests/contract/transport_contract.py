"""What every `vsspc.ports.Transport` must do, whatever it is made of.

A test module inherits `TransportContract` and gives it the fixture `host`, a `Host` of its own making.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Protocol

import pytest

from vsspc.adapters.clock import SystemClock
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    DeadlineExceeded,
    InternalError,
    PayloadBlocked,
    RemoteFileExists,
    RemoteFileMissing,
    SessionLost,
    VsspcError,
)
from vsspc.ports import Transport
from vsspc.windows.acl import objection

SERVICE = "vsspc-0123456789ab-0001"
CLOCK = SystemClock()


def within(seconds: float, name: str = "timeouts.test") -> Deadline:
    """Return the deadline so many seconds from now."""
    return Deadline.after(CLOCK.now(), seconds, name)


class Host(Protocol):
    """A host under test, seen from behind: what the transport did to it is looked up here, not through it."""

    def open(self, deadline: Deadline) -> Transport:
        """Open a session as an administrator."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file below %SystemRoot%, or None when there is none."""
        ...

    def place(self, path: str, data: bytes) -> None:
        """Put a file below %SystemRoot%, and the folders above it."""
        ...

    def names(self, path: str = "") -> set[str]:
        """Return the names in a folder below %SystemRoot%."""
        ...

    def services(self) -> set[str]:
        """Return the names of the services that are not Windows' own."""
        ...

    def started(self) -> list[str]:
        """Return the arguments of every cmd.exe that was started as LocalSystem, in order."""
        ...

    def open_handles(self) -> int:
        """Return how many handles of services of ours are open."""
        ...

    def hold_program(self, service: str, seconds: float) -> None:
        """Keep a service's program in use for so long from when its service is next stopped."""
        ...


def written(transport: Transport, path: str, data: bytes) -> None:
    """Write a file, and wait until the host has it."""
    with transport.until(within(30)):
        transport.put(path, data)


def _swap(transport: Transport, old: bytes, new: bytes | None) -> bool:
    """Replace the file once nobody else has it open; return whether it was replaced."""
    while True:  # bounded by the session's deadline
        try:
            return transport.replace("swap.json", old, new)
        except SessionLost as error:
            assert error.transient


class TransportContract:
    """The contract. Names of tests say what a caller may rely on."""

    def at_once(self, first: Callable[[], bool], second: Callable[[], bool]) -> list[bool]:
        """Make two calls at the same time; return what came of each."""
        with ThreadPoolExecutor(2) as pool:
            return [call.result(30) for call in [pool.submit(first), pool.submit(second)]]

    @pytest.fixture
    def transport(self, host: Host) -> Iterator[Transport]:
        """An open session."""
        with closing(host.open(within(30))) as transport:
            yield transport

    @pytest.fixture(autouse=True)
    def leaves_nothing(self, host: Host) -> Iterator[None]:
        """Whatever a test did, no handle of a service may outlive its session."""
        yield
        assert host.open_handles() == 0

    # -- files

    @pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 262144, 262145, 3_000_000])
    def test_files_of_any_size_arrive_whole_and_come_back_whole(self, host: Host, transport: Transport, size: int) -> None:
        data = (bytes(range(251)) * (size // 251 + 1))[:size]
        written(transport, "size.bin", data)
        assert host.read("size.bin") == data
        assert transport.get("size.bin", size + 1) == data
        transport.delete("size.bin")
        assert host.read("size.bin") is None

    def test_more_files_than_a_host_takes_at_once_arrive(self, host: Host, transport: Transport) -> None:
        transport.make_folder("many")
        files = {f"many\\{number}.bin": b"%d" % number * (number * 977) for number in range(120)}
        with transport.until(within(30)):
            for path, data in files.items():
                transport.put(path, data)
            transport.put("many\\0.bin", b"written twice")
        assert {path: host.read(path) for path in files} == {**files, "many\\0.bin": b"written twice"}
        transport.delete_tree("many")
        assert "many" not in host.names()

    def test_a_file_that_cannot_be_written_is_told_by_the_next_call(self, transport: Transport) -> None:
        def both() -> None:
            transport.put("missing\\x.cmd", b"x")
            transport.list("")

        with pytest.raises(RemoteFileMissing, match="missing"):
            both()
        assert transport.list("", "missing") == []

    def test_a_file_that_cannot_be_written_is_told_at_the_end_of_the_block(self, host: Host, transport: Transport) -> None:
        with pytest.raises(RemoteFileMissing, match="missing"), transport.until(within(30)):
            transport.put("missing\\x.cmd", b"x")
        written(transport, "after.txt", b"a")
        assert host.read("after.txt") == b"a"
        transport.delete("after.txt")

    def test_no_process_is_started_after_a_file_that_could_not_be_written(self, host: Host, transport: Transport) -> None:
        transport.install_service(SERVICE)
        before = len(host.started())

        def both() -> None:
            transport.put("missing\\x.cmd", b"x")
            transport.start(SERVICE, "/d /c rem")

        with pytest.raises(RemoteFileMissing, match="missing"):
            both()
        assert host.started()[before:] == []
        transport.start(SERVICE, "/d /c rem after all")
        assert host.started()[before:] == ["/d /c rem after all"]
        transport.remove_service(SERVICE)

    def test_what_is_waited_for_is_seen(self, host: Host, transport: Transport) -> None:
        transport.make_folder("awaited")
        looks = 0
        with ThreadPoolExecutor(1) as pool, transport.until(within(30)):
            while not transport.list("awaited", "job.rc"):  # bounded by the deadline
                if not looks:
                    pool.submit(host.place, "awaited\\job.rc", b"0")
                looks += 1
                transport.wait("awaited", {"job.rc"}, 10)
        transport.delete_tree("awaited")
        assert "awaited" not in host.names()

    def test_put_replaces_a_longer_file(self, host: Host, transport: Transport) -> None:
        host.place("again.txt", b"long" * 100)
        written(transport, "again.txt", b"short")
        assert host.read("again.txt") == b"short"

    def test_exclusive_put_makes_a_file_only_once(self, host: Host, transport: Transport) -> None:
        transport.put("owner.json", b"first", exclusive=True)
        with pytest.raises(RemoteFileExists):
            transport.put("owner.json", b"second", exclusive=True)
        assert host.read("owner.json") == b"first"
        transport.delete("owner.json")

    @pytest.mark.parametrize("new", [b"another", b"a longer one than before", b"x", b""])
    def test_a_file_of_the_expected_content_is_replaced(self, host: Host, transport: Transport, new: bytes) -> None:
        host.place("swap.json", b"the one")
        assert transport.replace("swap.json", b"the one", new)
        assert host.read("swap.json") == new
        assert transport.replace("swap.json", new, b"the one")
        assert host.read("swap.json") == b"the one"
        assert transport.replace("swap.json", b"the one", None)
        assert "swap.json" not in host.names()

    @pytest.mark.parametrize("found", [b"", b"The one", b"the on", b"the one and more", b"the one" * 50_000])
    @pytest.mark.parametrize("new", [b"another", None])
    def test_a_file_of_another_content_is_not_replaced(
        self, host: Host, transport: Transport, found: bytes, new: bytes | None
    ) -> None:
        host.place("swap.json", found)
        assert not transport.replace("swap.json", b"the one", new)
        assert host.read("swap.json") == found
        transport.delete("swap.json")

    @pytest.mark.parametrize("new", [b"another", None])
    def test_a_file_that_is_not_there_is_not_replaced(self, host: Host, transport: Transport, new: bytes | None) -> None:
        for path in ("swap.json", "missing\\swap.json"):
            for old in (b"the one", b""):
                assert not transport.replace(path, old, new)
        assert not host.names() & {"swap.json", "missing"}

    @pytest.mark.parametrize("new", [(b"first", b"second"), (b"first", None)])
    def test_of_two_that_replace_the_same_content_one_does(
        self, host: Host, transport: Transport, new: tuple[bytes, bytes | None]
    ) -> None:
        with closing(host.open(within(30))) as other:
            for _ in range(10):
                host.place("swap.json", b"the one")
                done = self.at_once(
                    lambda: _swap(transport, b"the one", new[0]), lambda: _swap(other, b"the one", new[1])
                )
                assert sorted(done) == [False, True]
                assert host.read("swap.json") == new[done.index(True)]
        transport.delete("swap.json")

    @pytest.mark.parametrize("limit", [0, 1, 65536, 100_000, 299_999])
    def test_get_stops_at_the_limit(self, host: Host, transport: Transport, limit: int) -> None:
        data = bytes(range(250)) * 1200
        host.place("long.out", data)
        assert transport.get("long.out", limit) == data[:limit]

    def test_a_missing_file_is_remote_file_missing(self, transport: Transport) -> None:
        for path in ("missing.rc", "missing\\missing.rc"):
            with pytest.raises(RemoteFileMissing) as raised:
                transport.get(path)
            assert not raised.value.transient
            assert path in raised.value.message

    def test_a_folder_is_made_once_and_only_where_its_parent_is(self, host: Host, transport: Transport) -> None:
        transport.make_folder("made")
        transport.make_folder("made\\below")
        assert host.names("made") == {"below"}
        with pytest.raises(RemoteFileExists):
            transport.make_folder("made")
        host.place("taken", b"")
        with pytest.raises(RemoteFileExists):
            transport.make_folder("taken")
        with pytest.raises(RemoteFileMissing):
            transport.make_folder("nowhere\\below")
        transport.delete_tree("made")

    def test_a_folder_is_made_closed_to_others_and_tells_so(self, transport: Transport) -> None:
        transport.make_folder("made")
        assert objection(transport.descriptor("made") or b"") is None
        transport.put("file", b"")
        assert transport.descriptor("file") is None
        with pytest.raises(RemoteFileMissing):
            transport.descriptor("nowhere")
        transport.delete_tree("made")
        transport.delete("file")

    def test_list_tells_name_size_kind_and_times(self, host: Host, transport: Transport) -> None:
        host.place("listed\\one.out", b"12345")
        host.place("listed\\two.rc", b"0")
        host.place("listed\\sub\\three", b"")
        entries = {entry.name: entry for entry in transport.list("listed")}
        assert set(entries) == {"one.out", "two.rc", "sub"}
        assert (entries["one.out"].size, entries["one.out"].is_folder, entries["sub"].is_folder) == (5, False, True)
        now = CLOCK.wall().timestamp()
        assert all(abs(now - entry.written) < 60 and abs(now - entry.created) < 60 for entry in entries.values())
        assert [entry.name for entry in transport.list("listed", "*.rc")] == ["two.rc"]
        assert transport.list("listed", "*.none") == []
        transport.delete_tree("listed")

    def test_list_returns_every_entry_of_a_large_folder(self, host: Host, transport: Transport) -> None:
        names = {f"{'x' * 100}-{number:04}" for number in range(700)}
        for name in names:
            host.place(f"large\\{name}", b"")
        assert {entry.name for entry in transport.list("large")} == names
        transport.delete_tree("large")
        assert "large" not in host.names()

    def test_list_of_what_is_no_folder_is_remote_file_missing(self, host: Host, transport: Transport) -> None:
        host.place("plain.txt", b"")
        for path in ("plain.txt", "missing", "missing\\missing"):
            with pytest.raises(RemoteFileMissing):
                transport.list(path)

    def test_deleting_what_is_not_there_is_fine(self, transport: Transport) -> None:
        for path in ("missing", "missing\\missing"):
            transport.delete(path)
            transport.delete_tree(path)

    def test_delete_does_not_empty_a_folder(self, host: Host, transport: Transport) -> None:
        host.place("full\\file", b"kept")
        with pytest.raises(SessionLost) as raised:
            transport.delete("full")
        assert raised.value.transient
        assert host.read("full\\file") == b"kept"
        transport.delete("full\\file")
        transport.delete("full")
        assert "full" not in host.names()

    def test_delete_tree_deletes_all_below_and_nothing_beside(self, host: Host, transport: Transport) -> None:
        for path in ("tree\\a", "tree\\b\\c", "tree\\b\\d\\e", "tree-not\\f"):
            host.place(path, b"x")
        transport.make_folder("tree\\empty")
        transport.delete_tree("tree")
        assert "tree" not in host.names()
        assert host.read("tree-not\\f") == b"x"

    @pytest.mark.parametrize("path", ["", "\\", "..", "a\\..\\b", "a\\", "\\a", "a/b", " ", "a\\.", "a "])
    def test_deleting_refuses_names_that_are_not_below_system_root(self, transport: Transport, path: str) -> None:
        for refusing in (transport.delete, transport.delete_tree, transport.remove_service):
            with pytest.raises(InternalError):
                refusing(path)

    def test_text_beyond_ascii_works_in_names(self, host: Host, transport: Transport) -> None:
        written(transport, "Zähler €.txt", b"x")
        assert host.read("Zähler €.txt") == b"x"
        assert transport.list("", "Zähler*")[0].name == "Zähler €.txt"
        transport.delete("Zähler €.txt")

    # -- services and processes

    def test_a_service_is_installed_used_and_removed_without_a_trace(self, host: Host, transport: Transport) -> None:
        before, count = host.names(), len(host.started())
        transport.install_service(SERVICE)
        assert host.services() == {SERVICE}
        assert (host.read(f"{SERVICE}.exe") or b"")[:2] == b"MZ"
        pids = [transport.start(SERVICE, f"/d /c rem {number}") for number in range(3)]
        assert len(set(pids)) == 3
        assert all(pid > 0 and pid % 4 == 0 for pid in pids)
        assert host.started()[count:] == ["/d /c rem 0", "/d /c rem 1", "/d /c rem 2"]
        transport.remove_service(SERVICE)
        assert host.services() == set()
        assert host.names() == before

    def test_a_service_that_another_session_left_is_removed(self, host: Host, transport: Transport) -> None:
        with closing(host.open(within(30))) as other:
            other.install_service(SERVICE)
            other.start(SERVICE, "/d /c rem left")
        assert host.services() == {SERVICE}
        transport.remove_service(SERVICE)
        assert host.services() == set()
        assert f"{SERVICE}.exe" not in host.names()

    @pytest.mark.parametrize("pause", [0, 0.02, 0.1, 0.4])
    def test_a_service_that_another_client_ends_is_started_again_or_the_doubt_is_told(
        self, host: Host, transport: Transport, pause: float
    ) -> None:
        """PAExec stops when any of its clients leaves. The real one may do so between our SETTINGS and our START_APP."""
        transport.install_service(SERVICE)
        transport.start(SERVICE, "/d /c rem ours")
        with closing(host.open(within(30))) as other:
            other.start(SERVICE, "/d /c rem theirs")
        CLOCK.sleep(pause)
        try:
            assert transport.start(SERVICE, "/d /c rem ours again") > 0
        except SessionLost as error:
            assert not error.transient, "nobody knows whether it was started, so it must not be tried again"
        else:
            assert host.started()[-1] == "/d /c rem ours again"
        transport.remove_service(SERVICE)

    def test_removing_a_service_that_is_not_there_is_fine(self, transport: Transport) -> None:
        transport.remove_service(SERVICE)
        transport.remove_service(SERVICE)

    def test_a_program_without_its_service_is_removed(self, host: Host, transport: Transport) -> None:
        host.place(f"{SERVICE}.exe", b"MZ")
        transport.remove_service(SERVICE)
        assert f"{SERVICE}.exe" not in host.names()

    def test_other_services_and_programs_are_left_alone(self, host: Host, transport: Transport) -> None:
        other = SERVICE[:-1] + "2"
        with closing(host.open(within(30))) as session:
            session.install_service(other)
            host.place("PAExec-1-else.exe", b"MZ")
            transport.install_service(SERVICE)
            transport.remove_service(SERVICE)
            assert host.services() == {other}
            assert {f"{other}.exe", "PAExec-1-else.exe"} <= host.names()
            session.remove_service(other)
        transport.delete("PAExec-1-else.exe")

    def test_a_name_can_be_used_again_after_its_removal(self, host: Host, transport: Transport) -> None:
        for round_ in range(3):
            transport.install_service(SERVICE)
            assert transport.start(SERVICE, f"/d /c rem round {round_}") > 0
            transport.remove_service(SERVICE)
        assert host.services() == set()

    def test_installing_over_a_leftover_of_the_same_name_gives_a_service_that_works(
        self, host: Host, transport: Transport
    ) -> None:
        with closing(host.open(within(30))) as other:
            other.install_service(SERVICE)
        transport.install_service(SERVICE)
        assert transport.start(SERVICE, "/d /c rem over") > 0
        transport.remove_service(SERVICE)
        assert host.services() == set()

    def test_removal_waits_for_a_program_that_is_still_in_use(self, host: Host, transport: Transport) -> None:
        transport.install_service(SERVICE)
        transport.start(SERVICE, "/d /c rem")
        host.hold_program(SERVICE, 0.5)
        transport.remove_service(SERVICE)
        assert host.services() == set()
        assert f"{SERVICE}.exe" not in host.names()

    def test_removal_that_runs_out_of_time_says_so(self, host: Host, transport: Transport) -> None:
        transport.install_service(SERVICE)
        transport.start(SERVICE, "/d /c rem")
        host.hold_program(SERVICE, 2.0)
        with transport.until(within(0.5, "timeouts.cleanup")), pytest.raises(VsspcError) as raised:
            transport.remove_service(SERVICE)
        assert isinstance(raised.value, DeadlineExceeded) or raised.value.transient
        with closing(host.open(within(30))) as again:
            again.remove_service(SERVICE)
        assert host.services() == set()

    def test_starting_without_a_service_is_payload_blocked(self, transport: Transport) -> None:
        with pytest.raises(PayloadBlocked):
            transport.start(SERVICE, "/d /c rem")

    def test_arguments_that_paexec_would_garble_are_refused(self, transport: Transport) -> None:
        with pytest.raises(InternalError):
            transport.start(SERVICE, "x" * 8001)

    def test_the_longest_arguments_arrive_whole(self, host: Host, transport: Transport) -> None:
        transport.install_service(SERVICE)
        transport.start(SERVICE, "/d /c rem " + "x" * 7990)
        assert host.started()[-1] == "/d /c rem " + "x" * 7990
        transport.remove_service(SERVICE)

    # -- time, and ends

    def test_a_call_after_its_deadline_fails_and_a_later_deadline_still_works(self, transport: Transport) -> None:
        with transport.until(within(-1, "timeouts.map")), pytest.raises(DeadlineExceeded, match=r"timeouts\.map"):
            transport.list("")
        with transport.until(within(30)):
            transport.list("", "none*")

    def test_the_outer_deadline_holds_again_after_an_inner_one(self, transport: Transport) -> None:
        with transport.until(within(-1, "timeouts.outer")):
            with transport.until(within(30)):
                transport.list("", "none*")
            with pytest.raises(DeadlineExceeded, match=r"timeouts\.outer"):
                transport.list("")

    def test_every_call_fails_after_abort(self, transport: Transport) -> None:
        transport.abort()
        for call in (lambda: transport.list(""), lambda: transport.put("x", b""), lambda: transport.remove_service("x")):
            with pytest.raises(SessionLost) as raised:
                call()
            assert not raised.value.transient

    def test_close_may_come_twice_and_after_abort(self, host: Host) -> None:
        transport = host.open(within(30))
        transport.close()
        transport.close()
        with pytest.raises(SessionLost):
            transport.list("")
        aborted = host.open(within(30))
        aborted.abort()
        aborted.close()

    def test_a_closed_session_leaves_its_services_stopped_but_installed(self, host: Host) -> None:
        with closing(host.open(within(30))) as transport:
            transport.install_service(SERVICE)
            transport.start(SERVICE, "/d /c rem")
        assert host.open_handles() == 0
        with closing(host.open(within(30))) as transport:
            transport.start(SERVICE, "/d /c rem again")
            transport.remove_service(SERVICE)

    def test_two_sessions_work_side_by_side(self, host: Host, transport: Transport) -> None:
        with closing(host.open(within(30))) as other:
            written(transport, "mine", b"1")
            written(other, "theirs", b"2")
            assert transport.get("theirs") + other.get("mine") == b"21"
            transport.delete("theirs")
            other.delete("mine")

    def test_the_session_tells_this_servers_address(self, transport: Transport) -> None:
        assert transport.local_address.startswith("127.")
