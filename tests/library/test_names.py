"""What `import vsspc` has, for who runs it and for who checks types, and what it costs."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vsspc
from vsspc.core import errors


def test_every_error_is_public() -> None:
    classes = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.VsspcError)]
    assert len(classes) > 30
    assert {one.__name__ for one in classes} <= set(vsspc.__all__)
    assert all(getattr(vsspc, one.__name__) is one for one in classes)


@pytest.mark.parametrize("name", vsspc.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert name in dir(vsspc)
    found = getattr(vsspc, name)
    if name != "__version__":
        assert inspect.getdoc(found)
        assert all(
            inspect.getdoc(method) for called, method in vars(found).items()
            if inspect.isfunction(method) and not called.startswith("_")
        )  # fmt: skip


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(vsspc.__file__).read_text("utf-8"))
    (block,) = (one for one in tree.body if isinstance(one, ast.If))
    imports = [one for one in block.body if isinstance(one, ast.ImportFrom)]
    seen = {alias.name: one.module for one in imports for alias in one.names}
    assert seen == {name: vsspc._HOMES.get(name, vsspc._ERRORS) for name in vsspc.__all__ if name != "__version__"}


def test_a_caller_with_mypy_strict_is_told_the_types(tmp_path: Path) -> None:
    caller = tmp_path / "caller.py"
    caller.write_text(
        "from typing import assert_type\n"
        "import vsspc\n"
        "with vsspc.Host('winbox').snapshot(deadline=60) as snapshot:\n"
        "    assert_type([copy.url for copy in snapshot], list[str])\n"
        "try:\n"
        "    vsspc.Host('winbox').post(transfer_ok='yes')\n"
        "except vsspc.SnapshotBusy as error:\n"
        "    assert_type(error.exit_code, int)\n"
    )
    options = ("--strict", "--config-file=", "--no-error-summary", "--cache-dir", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, caller.name],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(Path(vsspc.__file__).parents[1])}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    ours = [line for line in done.stdout.splitlines() if line.startswith("caller.py")]
    assert len(ours) == 1 and 'incompatible type "str"; expected "bool"' in ours[0], done.stdout + done.stderr


def test_the_import_is_cheap_until_something_is_asked_for() -> None:
    script = "import sys, vsspc; print(*sorted(name for name in sys.modules if name.startswith('vsspc.')), 'click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vsspc.nonsense  # noqa: B018
