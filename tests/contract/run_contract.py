"""What a whole run must do, from `pre` to `post`, on whatever host: files out of the shadow copy, and nothing left.

A test module inherits `RunContract` and gives it the fixture `driver_of`, which starts hosts of its kind; or, for the
hosts that are labs, the fixture `lab_of`.
"""

from __future__ import annotations

import pytest

from tests.contract.lab_driver import LabDriver, LabFactory
from tests.contract.run_driver import Driver, DriverFactory, Said

THEN, NOW = b"as of the snapshot", b"changed since"
MAIL = bytes(range(256)) * 999
INSUFFICIENT_STORAGE = 0x8004231F
"""VSS_E_INSUFFICIENT_STORAGE (vsserror.h)."""


def assert_good(said: Said) -> None:
    """The command ended well."""
    code, output = said
    assert code == 0, output


def assert_failed(said: Said, code: int, error: str) -> None:
    """The command ended with this exit status, and named this error."""
    assert (said[0], error in said[1]) == (code, True), said


def begin(run: Driver, volumes: str = "C") -> None:
    """Have a pre that succeeds, and then change the live files."""
    assert_good(run.pre())
    for volume in volumes:
        run.place(rf"{volume}:\file.txt", NOW)


class RunContract:
    """The contract of a run. Names of tests say what an administrator may rely on."""

    cmd_holds_its_script = False
    """Wine's cmd.exe keeps the script open that it runs, and Wine deletes an open file at its closing only: a script
    that removes its own folder leaves that folder, empty. Windows' cmd closes the file while a command runs."""

    @pytest.fixture
    def driver_of(self, lab_of: LabFactory) -> DriverFactory:
        """Start hosts."""

        def start(*, volumes: tuple[str, ...] = ("C:",), dosdev: bool = True) -> Driver:
            return LabDriver(lab_of(volumes=volumes, options=() if dosdev else ("--without", "dosdev.exe")))

        return start

    @pytest.fixture
    def run(self, driver_of: DriverFactory) -> Driver:
        """A host with one volume, and a locked file on it."""
        run = driver_of()
        run.place(r"C:\file.txt", THEN)
        run.place(r"C:\Users\Ada\mail.pst", MAIL, locked=True)
        return run

    def test_a_run_serves_the_past_to_who_knows_the_password_and_leaves_nothing(self, run: Driver) -> None:
        begin(run)
        assert run.fetch("C/file.txt") == THEN
        assert run.fetch("C/Users/Ada/mail.pst") == MAIL
        assert run.fetch("C/file.txt", password="wrong") is None
        assert_good(run.post())
        assert run.left() == {}
        assert run.session() == {}

    def test_two_volumes_without_dosdev(self, driver_of: DriverFactory) -> None:
        run = driver_of(volumes=("C:", "D:"), dosdev=False)
        run.place(r"C:\file.txt", THEN)
        run.place(r"D:\file.txt", THEN + b" on D")
        begin(run, "CD")
        assert [run.fetch(f"{volume}/file.txt") for volume in "CD"] == [THEN, THEN + b" on D"]
        assert_good(run.post())
        assert run.left() == {}

    def test_a_run_after_a_run_sees_what_is_new(self, run: Driver) -> None:
        begin(run)
        assert_good(run.post())
        assert_good(run.pre())
        assert run.fetch("C/file.txt") == NOW
        assert_good(run.post())
        assert run.left() == {}

    def test_pre_settles_a_run_whose_post_never_came(self, run: Driver) -> None:
        begin(run)
        assert_good(run.pre())
        assert run.fetch("C/file.txt") == NOW
        assert_good(run.post())
        assert run.left() == {}

    def test_a_failed_shadow_copy_is_told_and_leaves_nothing(self, run: Driver) -> None:
        run.fail_shadow_copies(INSUFFICIENT_STORAGE)
        assert_failed(run.pre(), 33, "SnapshotNoSpace")
        assert run.left() == {}

    def test_a_taken_port_is_told_and_leaves_nothing(self, run: Driver) -> None:
        run.take_port()
        assert_failed(run.pre(), 44, "PortTaken")
        assert run.left() == {}

    def test_post_takes_down_what_a_killed_pre_has_left(self, run: Driver) -> None:
        run.pre_killed_with_a_letter()
        assert_good(run.post(transfer_ok=False))
        assert run.left() == {}

    def test_sweep_takes_down_what_a_killed_pre_has_left(self, run: Driver) -> None:
        run.pre_killed_with_a_letter()
        assert_good(run.sweep())
        assert run.left() == {}

    def test_pre_takes_down_what_a_killed_pre_has_left(self, run: Driver) -> None:
        run.pre_killed_with_a_letter()
        begin(run)
        assert run.fetch("C/file.txt") == THEN
        assert_good(run.post())
        assert run.left() == {}

    def test_sweep_leaves_a_run_alone_that_waits_for_its_post(self, run: Driver) -> None:
        begin(run)
        assert_good(run.sweep())
        assert run.fetch("C/file.txt") == THEN
        assert_good(run.post())
        assert run.left() == {}

    def test_post_takes_down_a_run_whose_daemon_died(self, run: Driver) -> None:
        begin(run)
        run.kill_daemon()
        assert_failed(run.post(), 35, "SnapshotVanished")
        assert run.left() == {}

    def test_post_takes_down_a_run_whose_shadow_copy_vanished(self, run: Driver) -> None:
        begin(run)
        run.lose_shadow_copies()
        assert_failed(run.post(), 35, "SnapshotVanished")
        assert run.left() == {}

    def test_post_takes_down_a_run_after_the_link_was_lost(self, run: Driver) -> None:
        begin(run)
        run.lose_link()
        assert_good(run.post())
        assert run.left() == {}

    def test_a_restore_writes_what_stays_and_leaves_nothing_else(self, run: Driver) -> None:
        run.allow_restores("volume")
        assert_good(run.restore_pre())
        assert run.store(r"Users\Ada\restored.txt", THEN)
        assert_good(run.restore_post())
        assert run.on_the_volume(r"C:\Users\Ada\restored.txt") == THEN
        assert run.left() == {}
        assert run.session() == {}

    def test_a_restore_into_a_folder_keeps_to_it(self, run: Driver) -> None:
        run.allow_restores("folder")
        assert_good(run.restore_pre())
        assert run.store("file.txt", NOW)
        folder = rf"C:\Restored\{run.session()['run']}"
        assert_good(run.restore_post())
        assert run.on_the_volume(rf"{folder}\file.txt") == NOW
        assert run.on_the_volume(r"C:\file.txt") == THEN

    def test_a_restore_that_writes_nothing_leaves_nothing(self, run: Driver) -> None:
        run.allow_restores("folder")
        assert_good(run.restore_pre())
        assert_good(run.restore_post())
        assert run.left() == {}

    def test_a_restore_is_refused_where_it_is_off(self, run: Driver) -> None:
        assert_failed(run.restore_pre(), 17, "RestoreRefused")
        assert run.left() == {}

    def test_a_dump_cannot_be_written_to(self, run: Driver) -> None:
        begin(run)
        assert not run.store("written.txt", NOW)
        assert_good(run.post())
        assert run.left() == {}

    def test_a_host_that_the_server_forgets_cleans_up_by_itself(self, run: Driver) -> None:
        run.expire_after(60)  # the lab counts ten a second, and pre must be over by then on a busy machine too
        begin(run)
        self.assert_the_host_ends_the_run(run)

    def test_a_host_that_the_server_forgets_in_the_middle_of_pre_cleans_up_by_itself(self, run: Driver) -> None:
        run.expire_after(60)
        run.pre_killed_with_a_letter()
        self.assert_the_host_ends_the_run(run)

    def assert_the_host_ends_the_run(self, run: Driver) -> None:
        run.wait_until_the_host_ended_the_run()
        left = run.left()
        if self.cmd_holds_its_script:
            assert all(path.endswith("\\") for path in left.pop("files", []))
            left.pop("access", None)  # that of the empty folder
        assert left == {}

    def test_post_after_a_restart_of_the_host_finds_what_is_left(self, run: Driver) -> None:
        begin(run)
        run.restart()
        assert_failed(run.post(), 35, "SnapshotVanished")
        assert run.left() == {}
