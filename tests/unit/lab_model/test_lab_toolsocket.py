"""The protocol by which a stand-in that plays a program itself takes part in the host (Wine's, later)."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any, BinaryIO

from vsspc.lab.process import LabProcess


def connect(lab: LabProcess, image: str, command_line: str, **more: Any) -> tuple[socket.socket, BinaryIO]:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(lab.state / "tool"))
    request = {"image": image, "command_line": command_line, "cwd": "C:\\", "parent": 0, **more}
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection, connection.makefile("rb")


def test_a_tool_is_played_over_the_socket(bare_lab: LabProcess) -> None:
    connection, stream = connect(bare_lab, "C:\\Windows\\System32\\hostname.exe", "hostname")
    with connection:
        messages = [json.loads(line) for line in stream]

    assert [list(message) for message in messages] == [["pid"], ["stdout"], ["exit"]]
    assert base64.b64decode(messages[1]["stdout"]) == b"LABHOST\r\n"
    assert messages[2]["exit"] == 0


def test_what_is_missing_or_no_program_says_so(bare_lab: LabProcess) -> None:
    (bare_lab.volume() / "Windows" / "Temp" / "text.exe").write_bytes(b"no program")
    for image, code in (("C:\\nothing.exe", 2), ("C:\\Windows\\Temp\\text.exe", 216)):
        connection, stream = connect(bare_lab, image, image)
        with connection:
            assert json.loads(stream.readlines()[-1]) == {"exit": code}


def test_a_dropped_connection_is_a_killed_process_unless_it_is_hosted(bare_lab: LabProcess) -> None:
    pids = []
    for hosted in (False, True):
        connection, stream = connect(
            bare_lab, "C:\\Windows\\System32\\svchost.exe", "svchost -k x", hosted=hosted, environment={}
        )
        pids.append(json.loads(stream.readline())["pid"])
        stream.close()
        connection.close()
    bare_lab.events.wait_for("process-killed", pid=pids[0])
    time.sleep(0.05)

    assert [process["pid"] for process in bare_lab.inventory()["processes"]] == [pids[1]]
    bare_lab.tell("kill", pid=pids[1])


def test_a_killed_process_tells_its_parent_exit_code_1(bare_lab: LabProcess) -> None:
    connection, stream = connect(bare_lab, "C:\\Windows\\System32\\svchost.exe", "svchost", hosted=True)
    with connection:
        bare_lab.tell("kill", pid=json.loads(stream.readline())["pid"])
        assert json.loads(stream.readline()) == {"exit": 1}
