"""The words: what may be a host, an address, a volume."""

from __future__ import annotations

import pytest

from vsspc.core.errors import ConfigError
from vsspc.core.words import Volume, check_address, check_host_name


@pytest.mark.parametrize("name", ["winbox", "WIN-7_b.example.com", "a", "10.0.0.1"])
def test_ordinary_host_names_pass(name: str) -> None:
    assert check_host_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "a/b", "a b", "-rf", "a\n", "ä", "a;b", "$(x)", "x" * 300])
def test_a_host_name_that_could_leave_its_folder_or_its_line_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_host_name(name)


@pytest.mark.parametrize("address", ["10.0.0.1", "fe80::1%eth0", "winbox.example.com", "::1"])
def test_addresses_and_names_pass(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "rsync://x/y", "host\n"])
def test_an_address_that_could_be_an_option_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        check_address(address)


@pytest.mark.parametrize("name", ["c:", "C", "C:\\", "CC:", "1:", "C:&"])
def test_a_volume_is_a_letter_and_a_colon(name: str) -> None:
    with pytest.raises(ConfigError):
        Volume(name)
