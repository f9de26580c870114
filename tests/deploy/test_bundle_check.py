"""What the check of a bundle finds before anything is uploaded: incomplete sets, mixed builds, wrong machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deploy.portable import portable
from vsspc.windows import pe


def bundle(machine: str = "x64") -> dict[str, bytes]:
    """Return a bundle that is in order: rsync needs cygwin1.dll directly, and cygz.dll's own need of it."""
    return {
        "rsync.exe": portable(machine, imports={"cygwin1.dll": ["read"], "cygiconv-2.dll": ["iconv"], "KERNEL32.dll": ["Sleep"]}),
        "cygiconv-2.dll": portable(machine, imports={"cygwin1.dll": ["read"], "cygz.dll": ["inflate"]}, exports=["iconv"]),
        "cygz.dll": portable(machine, imports={"CYGWIN1.DLL": ["write"]}, exports=["inflate", "deflate"]),
        "cygwin1.dll": portable(machine, imports={"ntdll.dll": ["NtClose"]}, exports=["read", "write"]),
        "vshadow.exe": portable(machine, imports={"VSSAPI.DLL": []}),
    }


@pytest.mark.parametrize("machine", ["x86", "x64"])
def test_a_whole_set_of_one_build_has_no_fault(machine: str) -> None:
    checked = pe.check(bundle(machine))
    assert checked == pe.Checked((), machine, machine)


def test_tables_are_read() -> None:
    program = pe.read(bundle()["rsync.exe"])
    assert program.machine == "x64"
    assert program.imports == {
        "cygwin1.dll": frozenset({"read"}),
        "cygiconv-2.dll": frozenset({"iconv"}),
        "kernel32.dll": frozenset({"Sleep"}),
    }
    assert pe.read(bundle()["cygz.dll"]).exports == {"inflate", "deflate"}


@pytest.mark.parametrize("name", ["cygwin1.dll", "cygiconv-2.dll", "cygz.dll"])
def test_a_library_that_is_missing_is_named_with_who_needs_it(name: str) -> None:
    files = bundle()
    del files[name]
    faults = pe.check(files).faults
    assert faults and all(fault.startswith(f"{name} is missing: ") for fault in faults)
    assert any("cygiconv-2.dll needs it" in fault for fault in faults) == (name != "cygiconv-2.dll")


def test_rsync_itself_may_be_missing() -> None:
    assert pe.check({"cygwin1.dll": bundle()["cygwin1.dll"]}).faults == ("rsync.exe is missing",)


def test_a_library_for_another_machine_is_named_once() -> None:
    files = bundle() | {"cygwin1.dll": bundle("x86")["cygwin1.dll"]}
    assert pe.check(files).faults == ("cygwin1.dll is built for x86, rsync.exe for x64",)


def test_a_library_of_another_build_is_named_by_the_symbol_it_lacks() -> None:
    files = bundle() | {"cygz.dll": portable(exports=["deflate"])}
    assert pe.check(files).faults == ("cygz.dll is of another build than cygiconv-2.dll: it has no inflate",)


def test_a_file_that_is_cut_short_or_no_program_is_named() -> None:
    files = bundle() | {"cygz.dll": bundle()["cygz.dll"][:-1], "vshadow.exe": b"<html>"}
    faults = pe.check(files).faults
    assert "cygz.dll is cut short" in faults
    assert any(fault.startswith("vshadow.exe is no Windows program") for fault in faults)
    assert len(faults) == 2


def test_a_library_that_nobody_needs_is_no_fault() -> None:
    assert pe.check(bundle() | {"cygssp-0.dll": portable("x86")}).faults == ()


@pytest.mark.parametrize(
    ("rsync", "vshadow", "bits", "named"),
    [
        ("x64", "x64", 64, []),
        ("x86", "x64", 64, []),
        ("x86", "x86", 64, ["vshadow.exe"]),
        ("x86", "x86", 32, []),
        ("x64", "x64", 32, ["rsync.exe", "vshadow.exe"]),
        ("x86", "", 32, []),
        ("x64", "x86", 0, []),
    ],
)
def test_programs_that_the_hosts_windows_cannot_run_are_named(rsync: str, vshadow: str, bits: int, named: list[str]) -> None:
    faults = pe.faults_on(pe.Checked((), rsync, vshadow), bits)
    assert [fault.split()[0] for fault in faults] == named


@given(st.binary(max_size=2000), st.integers(0, 800))
def test_any_bytes_are_a_program_or_not(noise: bytes, at: int) -> None:
    good = bundle()["rsync.exe"]
    for data in (noise, b"MZ" + noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            pe.read(data)
        except pe.NotAProgram:
            pass
