"""A host's settings: what cannot be used, and the ports that a run may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.core.errors import ConfigError
from vsspc.core.portdraw import CANDIDATES, PORTS
from vsspc.core.secret import Secret
from vsspc.core.settings import HostSettings

RUNS = st.text("0123456789abcdef", min_size=12, max_size=12)


@given(RUNS, st.sampled_from([445, *PORTS[:50]]))
def test_a_run_has_several_ports_of_its_own_and_always_the_same(run: str, smb_port: int) -> None:
    settings = HostSettings(host="h", address="h", smb_port=smb_port)
    ports = settings.rsync_ports(run)
    assert len(set(ports)) == len(ports) == CANDIDATES
    assert set(ports) <= set(PORTS) - {smb_port}
    assert ports == settings.rsync_ports(run)


def test_two_runs_seldom_meet() -> None:
    settings = HostSettings(host="h", address="h")
    first = [settings.rsync_ports(f"{number:012x}")[0] for number in range(200)]
    assert len(set(first)) > 190


@given(RUNS)
def test_a_fixed_port_is_the_only_one(run: str) -> None:
    assert HostSettings(host="h", address="h", rsync_port=8730).rsync_ports(run) == (8730,)


@pytest.mark.parametrize("password", ["", "short", "with a blank in it", "new\nline" * 3, "ä" * 20, "x" * 129, "user:" + "x" * 20])
def test_a_password_that_could_break_a_line_or_is_short_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(ConfigError, match="rsync_password_file") as caught:
        HostSettings(host="h", address="h", rsync_password=Secret(password))
    assert not password or password not in caught.value.line()


def test_a_password_is_not_shown_by_the_settings() -> None:
    assert "0123456789abcdef" not in repr(HostSettings(host="h", address="h", rsync_password=Secret("0123456789abcdef")))
