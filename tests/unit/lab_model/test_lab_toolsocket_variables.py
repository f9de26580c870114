"""A cmd.exe in another console than ours starts with its own variables."""

from __future__ import annotations

from vsspc.lab.toolsocket import _with_variables


def test_new_variables_are_set_on_the_command_line_first() -> None:
    line = 'cmd.exe /c ""C:\\x\\held.cmd""'

    assert _with_variables(line, []) == line
    assert _with_variables(line, [("a", "{1}"), ("b", "2")]) == 'cmd.exe /c "set a={1}&set b=2&"C:\\x\\held.cmd""'
