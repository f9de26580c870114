"""What a stock Samba cannot be made to show: links, and servers that leave a handle open behind a failed chain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.file_info import FileAttributes, FileDirectoryInformation
from smbprotocol.header import SMB2HeaderResponse
from smbprotocol.open import SMB2QueryDirectoryResponse

from vsspc.adapters import smbfiles
from vsspc.adapters.smbfiles import Files
from vsspc.core.errors import SessionLost

NOT_FOUND, NO_MORE_FILES, NOT_A_FOLDER, SHARING_VIOLATION = 0xC0000034, 0x80000006, 0xC0000103, 0xC0000043
FOLDER, LINK = FileAttributes.FILE_ATTRIBUTE_DIRECTORY, FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT


def answered(status: int) -> SMBResponseException:
    header = SMB2HeaderResponse()
    header["status"] = status
    return SMBResponseException(header)


class Server:
    """A share in memory: attributes by path. A link to a folder is a folder that shows another's entries."""

    def __init__(self, entries: dict[str, int]) -> None:
        self.entries = entries
        self.listed: list[str] = []
        self.open: set[str] = set()
        self.fails_chains_with: int | None = None
        self.max_write_size = self.max_read_size = 1 << 20
        self.sequence_window = {"low": 0, "high": 64}
        self.tree = SimpleNamespace(session=SimpleNamespace(connection=self, session_id=1), tree_connect_id=1)

    def send_compound(self, messages: list[Any], sid: int, tid: int, related: bool) -> list[Any]:
        """Answer a chain: after a failure, every message fails likewise."""
        answers: list[Any] = []
        failure: SMBResponseException | None = None
        for number, message in enumerate(messages):
            answer = None
            if failure is None:
                try:
                    if number and self.fails_chains_with:
                        raise answered(self.fails_chains_with)
                    if callable(message):
                        answer = message()
                    else:  # the one request that is made of smbprotocol's own structures: mark for deletion
                        path = max(self.open, key=len)
                        del self.entries[path]
                except SMBResponseException as exc:
                    failure = exc
            answers.append(failure or answer)
        return answers

    def send(self, message: Any, sid: int, tid: int) -> Any:
        """Do what a single message asks; its failure is the answer."""
        try:
            return message()
        except SMBResponseException as exc:
            return exc

    def receive(self, request: Any) -> Any:
        """Answer a query, or the marking for deletion."""
        if isinstance(request, Exception):
            raise request
        return {"data": SimpleNamespace(get_value=lambda: request or b"\2\0")}


class FakeOpen:
    """Stands in for smbprotocol's Open on a `Server`."""

    server: Server

    def __init__(self, tree: Any, name: str) -> None:
        self.name = name
        self.file_attributes = 0
        self._told = False

    def _create(self) -> None:
        if self.name not in self.server.entries:
            raise answered(NOT_FOUND)
        self.file_attributes = self.server.entries[self.name]
        self.server.open.add(self.name)

    def create(self, *arguments: Any, send: bool = True) -> Any:
        def create() -> None:
            if arguments[5] & 1 and not self.server.entries.get(self.name, FOLDER) & FOLDER:
                raise answered(NOT_A_FOLDER)
            self._create()

        return create() if send else (create, self._receive)

    def query_directory(self, pattern: str, kind: int, send: bool) -> Any:
        return self._query, None

    def _query(self) -> bytes:
        found = [
            _information(path.rpartition("\\")[2], attributes)
            for path, attributes in self.server.entries.items()
            if path.rpartition("\\")[0] == self.name
        ]
        if self._told or not found:
            raise answered(NO_MORE_FILES)
        self._told = True
        self.server.listed.append(self.name)
        response = SMB2QueryDirectoryResponse()
        for one in found[:-1]:
            one["next_entry_offset"] = len(one)
        response["buffer"] = b"".join(one.pack() for one in found)
        return bytes(response.pack())

    def close(self, attributes: bool, send: bool = True) -> Any:
        if not send:
            return self._close, self._receive
        return self._close()

    def _close(self) -> None:
        self.server.open.discard(self.name)

    def _receive(self, request: Any) -> None:
        if request is not None:
            raise request


def _information(name: str, attributes: int) -> FileDirectoryInformation:
    information = FileDirectoryInformation()
    information["file_attributes"] = attributes
    information["file_name"] = name.encode("utf-16-le")
    return information


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> type[FakeOpen]:
    monkeypatch.setattr(smbfiles, "Open", FakeOpen)
    return FakeOpen


def test_delete_tree_deletes_links_and_follows_none(opened: type[FakeOpen]) -> None:
    opened.server = server = Server(
        {
            "run": FOLDER,
            "run\\file": 0,
            "run\\junction": FOLDER | LINK,
            "run\\junction\\precious": 0,  # what the link leads to
            "run\\symlink": LINK,
            "run\\sub": FOLDER,
            "run\\sub\\deep": 0,
            "elsewhere": FOLDER,
        }
    )
    Files(server.tree).delete_tree("run")
    assert server.entries == {"run\\junction\\precious": 0, "elsewhere": FOLDER}
    assert server.listed == ["run", "run\\sub"]
    assert server.open == set()


def test_delete_tree_of_a_link_deletes_the_link_alone(opened: type[FakeOpen]) -> None:
    opened.server = server = Server({"run": FOLDER | LINK, "run\\precious": 0})
    Files(server.tree).delete_tree("run")
    assert server.entries == {"run\\precious": 0}
    assert server.open == set()


def test_delete_tree_of_a_file_deletes_it(opened: type[FakeOpen]) -> None:
    opened.server = server = Server({"run": 0})
    Files(server.tree).delete_tree("run")
    assert server.entries == {}


def test_a_handle_that_a_failed_chain_left_open_is_closed(opened: type[FakeOpen]) -> None:
    opened.server = server = Server({"file": 0})
    server.fails_chains_with = SHARING_VIOLATION
    with pytest.raises(SMBResponseException):
        Files(server.tree).delete("file")
    assert server.open == set()
    assert server.entries == {"file": 0}


def test_a_chain_that_opened_nothing_closes_nothing(opened: type[FakeOpen]) -> None:
    opened.server = server = Server({})
    assert Files(server.tree).exists("file") is False
    Files(server.tree).delete("file")
    assert server.open == set()


def test_a_folder_without_end_is_refused(opened: type[FakeOpen], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smbfiles, "_MOST_ENTRIES", 3)
    opened.server = server = Server({"run": FOLDER} | {f"run\\{number}": 0 for number in range(4)})
    with pytest.raises(SessionLost, match="more than 3 entries") as raised:
        Files(server.tree).entries("run", "*")
    assert not raised.value.transient
    assert server.open == set()


def test_folders_without_end_are_not_gone_down(opened: type[FakeOpen]) -> None:
    deep = ["run" + "\\x" * depth for depth in range(1500)]
    opened.server = server = Server(dict.fromkeys(deep, FOLDER))
    with pytest.raises(SessionLost, match="deep"):
        Files(server.tree).delete_tree("run")
    assert server.open == set()
