"""Each engine in whole runs on the lab, from `pre` to `post` by the command line: what is served, and nothing left.

VSS, PowerShell and diskshadow are the lab's, played from their documentation; SMB, rsync and the `.cmd` files are real.
"""

from __future__ import annotations

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import MAIL, NOW, THEN
from tests.engines.driver import ENGINES, TWO, EngineRun

FOLDER = r"C:\Mounts\Data"
SQL_WRITER = "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}"


@pytest.mark.shows("two volumes, a locked file")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "language",
    [
        "english",
        pytest.param("german", marks=pytest.mark.shows("German Windows")),
        pytest.param("japanese", marks=pytest.mark.shows("Japanese Windows")),
    ],
)
def test_two_volumes_of_the_past_are_served_and_nothing_is_left(
    lab_factory: LabFactory, engine: str, language: str
) -> None:
    run = EngineRun(lab_factory(volumes=TWO, options=("--language", language)), engine=engine)
    code, output = run.pre()
    assert code == 0, output
    run.serves({"C": "file.txt", "D": "file.txt"}, THEN)
    assert run.fetch("C/Users/Ada/mail.pst") == MAIL, "a locked file"
    assert (f"shadow copies by {engine}" in output, "NOT of one instant" in output) == (True, engine == "wmi"), output
    run.ended()


@pytest.mark.shows("pre killed while the copies are made")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_pre_that_was_killed_while_the_copies_were_made_is_settled_by_the_next_one(
    lab_factory: LabFactory, engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine)
    run.lab.inject(f"{engine}-slow", seconds=3, times=2)
    run.killed_at(f"{engine}-creating")
    code, output = run.pre()
    assert code == 0, output
    run.serves({"C": "file.txt", "D": "file.txt"}, THEN)
    run.ended()


@pytest.mark.shows("pre killed with the copies made")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_pre_that_was_killed_with_the_copies_made_is_taken_down_by_post(lab_factory: LabFactory, engine: str) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine)
    run.killed_at("letter-defined")
    run.ended(transfer_ok=False)


@pytest.mark.shows("a restart of the host in mid-run")
@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_restart_of_the_host_post_tells_and_leaves_nothing(lab_factory: LabFactory, engine: str) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine)
    code, output = run.pre()
    assert code == 0, output
    run.lab.reboot()
    assert bool(run.lab.inventory()["shadow_copies"]) is (engine == "wmi"), "persistent copies live on"
    assert "SnapshotVanished" in run.ended(35)


@pytest.mark.shows("no server comes back: the host cleans up")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_host_that_the_server_forgets_cleans_up_by_itself(lab_factory: LabFactory, engine: str) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine, max_ttl="16s", idle_ttl="16s")
    code, output = run.pre()
    assert code == 0, output
    run.lab.events.wait_for("shadow-deleted", timeout=60)
    assert run.left() == {}


@pytest.mark.shows("a volume in a folder")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_volume_in_a_folder_is_served_under_a_name_of_its_own(
    lab_factory: LabFactory, engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=("C:", FOLDER)), engine=engine)
    code, output = run.pre()
    assert code == 0, output
    run.serves({"C": "file.txt", "C_Mounts_Data": "file.txt"}, THEN)
    run.ended()


@pytest.mark.shows("a volume that cannot be copied is named")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["fat32", "locked", "subst"])
def test_a_volume_that_cannot_be_copied_is_named(lab_factory: LabFactory, engine: str, kind: str) -> None:
    run = EngineRun(lab_factory(volumes=("C:", f"E:={kind}")), engine=engine)
    code, output = run.pre()
    assert (code, "VolumeUnsupported" in output) == (34, True), output
    assert "E:" in output.splitlines()[-1], output
    assert run.left() == {}


@pytest.mark.shows("an optional one is left out")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_optional_volume_that_cannot_be_copied_is_left_out_with_a_warning(
    lab_factory: LabFactory, engine: str
) -> None:
    volumes = ("C:", "D:=fat32", "E:=locked")
    run = EngineRun(lab_factory(volumes=volumes), engine=engine)
    optional = [f'{{ path = "{letter}:", optional = true }}' for letter in "DEG"]
    run.settings["volumes"] = f'["C:", {", ".join(optional)}]'
    code, output = run.pre()
    assert code == 0, output
    for letter in "DEG":
        assert f"the volume {letter}: is left out of this backup" in output, output
    assert "rsync module C at" in output
    run.serves({"C": "file.txt"}, THEN)
    run.ended()


@pytest.mark.shows("links in place of letters")
@pytest.mark.parametrize("engine", ENGINES)
def test_links_do_where_powershell_is_constrained_and_there_is_no_dosdev(
    lab_factory: LabFactory, engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=("C:", "D:", FOLDER), options=("--without", "dosdev.exe")), engine=engine)
    run.lab.inject("powershell-constrained")
    code, output = run.pre()
    assert code == 0, output
    run.serves({"C": "file.txt", "D": "file.txt", "C_Mounts_Data": "file.txt"}, THEN)
    run.ended()


@pytest.mark.shows("`auto` comes to it")
@pytest.mark.parametrize(
    ("options", "engine"),
    [
        ((), "vshadow"),
        (("--vshadow", "sample"), "diskshadow"),
        (("--vshadow", "sample", "--edition", "client"), "wmi"),
        (("--without", "vshadow.exe"), "diskshadow"),
        (("--without", "vshadow.exe", "--edition", "client"), "wmi"),
        (("--vshadow", "32bit"), "diskshadow"),
    ],
)
def test_auto_comes_to_the_engine_that_works_here(
    lab_factory: LabFactory, options: tuple[str, ...], engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=TWO, options=options))
    code, output = run.pre()
    assert code == 0, output
    assert [event["engine"] for event in run.log() if event["event"] == "engine"][-1] == engine
    run.serves({"C": "file.txt", "D": "file.txt"}, THEN)
    run.ended()


@pytest.mark.shows("the live disk, by double consent only")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_live_disk_is_served_with_both_consents_only_and_every_line_says_so(
    lab_factory: LabFactory, engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine, policy="prefer")
    run.lab.inject("vss", hresult="0x8004230f", times=None)
    code, output = run.pre()
    assert (code, "live is not set" in output) == (30, True), output
    assert run.left() == {}
    run.settings["live"] = "true"
    code, output = run.pre()
    assert code == 0, output
    lines = output.splitlines()
    first = next(number for number, line in enumerate(lines) if "LIVE" in line)
    assert all("LIVE" in line for line in lines[first:]), output
    run.serves({"C": "file.txt", "D": "file.txt"}, NOW)
    assert "LIVE" in run.ended()


@pytest.mark.shows("writers: what they mean for logs is said", engine="vshadow")
@pytest.mark.shows("a writer that fails ends pre with 32", engine="vshadow")
@pytest.mark.shows("writers left out", engine="vshadow")
def test_writers_that_failed_are_listed_and_those_that_are_left_out_are_not_asked(lab_factory: LabFactory) -> None:
    run = EngineRun(lab_factory(), engine="vshadow", writers="true")
    run.lab.inject("writer", writer="SqlServerWriter", code="0x800423f4")
    code, output = run.pre()
    assert (code, "FULL backup" in output) == (32, True), output
    assert [event["code"] for event in run.log() if event["event"] == "writer.failed"] == [0x800423F4]
    assert run.left() == {}
    run.settings["exclude_writers"] = f'["{SQL_WRITER}"]'
    code, output = run.pre()
    assert code == 0, output
    run.ended()


@pytest.mark.shows("writers: what they mean for logs is said", engine="diskshadow")
@pytest.mark.shows("a writer that fails ends pre with 32", engine="diskshadow")
@pytest.mark.shows("writers left out", engine="diskshadow")
@pytest.mark.parametrize("exclude", [True, False])
def test_diskshadow_makes_a_copy_backup_with_the_writers_that_are_not_left_out(
    lab_factory: LabFactory, exclude: bool
) -> None:
    run = EngineRun(lab_factory(), engine="diskshadow", writers="true")
    run.lab.inject("writer", writer="SqlServerWriter", code="0x800423f4")
    if exclude:
        run.settings["exclude_writers"] = f'["{SQL_WRITER}"]'
    code, output = run.pre()
    assert "COPY backup" in output, output
    assert code == (0 if exclude else 32), output
    run.ended(transfer_ok=exclude)
