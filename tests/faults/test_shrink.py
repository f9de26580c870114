"""The shrink guard, for real: BackupPC counts, post compares and warns, and the dump stays good."""

from __future__ import annotations

from .conftest import HOST, Rehearsal

WARNING = "vsspc: WARNING: C has "


def test_a_volume_that_lost_most_of_its_files_is_told_once_and_the_dump_is_good(rehearsal: Rehearsal) -> None:
    many = rehearsal.lab.volume() / "many"
    many.mkdir()
    for number in range(60):
        (many / f"{number}.txt").write_text("one of many")
    assert [warned(rehearsal, full=full) for full in (True, False)] == ["", ""], "an incremental dump counts all files too"
    for number in range(55):
        (many / f"{number}.txt").unlink()
    fewer = warned(rehearsal, full=False)
    assert "% fewer than in the last good dump (" in fewer
    assert warned(rehearsal, full=True) == ""
    rehearsal.assert_clean()
    assert not (rehearsal.state_dir / HOST / "counts").exists()


def warned(rehearsal: Rehearsal, *, full: bool) -> str:
    """Make a dump, which must be good; return the guard's warning, if there is one."""
    result = rehearsal.dump(full=full)
    assert result.ok, result.xferlog
    return next((line for line in result.xferlog.splitlines() if line.startswith(WARNING)), "")
