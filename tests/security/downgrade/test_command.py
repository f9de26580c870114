"""The commands themselves, through the lab: a host without encryption is refused by pre, and by an exit code of its own."""

from __future__ import annotations

from tests.conftest import LabFactory
from tests.contract.lab_driver import CLIENT, LabDriver
from tests.security.tally import note


def test_a_host_without_encryption_is_refused_unless_the_settings_say_so(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--encryption", "off"))
    driver = LabDriver(lab)
    code, said = driver.pre()
    note("downgrade", accepted=code == 0)
    assert code == 22, said
    assert "no SMB encryption" in said
    assert driver.left() == {}

    for verb, more in (("pre", ()), ("post", ("--xfer-ok", "1"))):
        command = driver.start(verb, "--client", CLIENT, "--host", lab.address, "--set", "encrypt=false", *more)
        said, _ = command.communicate(timeout=60)
        assert command.returncode == 0, said
        assert said
        assert all(line.startswith("vsspc: NOT ENCRYPTED: ") for line in said.splitlines()), said
    assert driver.left() == {}
