"""The words: what may be a host, an address, a volume."""

from __future__ import annotations

import pytest

from vsspc.core.errors import ConfigError
from vsspc.core.settings import HostSettings
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


BAD_VOLUMES = ["c:", "C", "C:\\", "CC:", "1:", "C:&", "C:x", r"C:\a\\", r"C:\a\\b", r"C:\..\x", r"C:\a.", r"C:\a ", r"C:\ a"]


@pytest.mark.parametrize("name", [*BAD_VOLUMES, r"C:\a&b", r"C:\a%b", r"C:\ä", "C:/a", "C:\\a\n", "C:\\" + "a" * 120])
def test_a_volume_is_a_letter_and_a_colon_or_a_folder_of_plain_names(name: str) -> None:
    with pytest.raises(ConfigError):
        Volume(name)


@pytest.mark.parametrize(
    ("name", "module", "is_folder"),
    [("C:", "C", False), (r"C:\Mounts\Data", "C_Mounts_Data", True), (r"E:\SQL Server\db-1.x", "E_SQL_Server_db-1.x", True)],
)
def test_the_module_of_a_volume_is_made_of_its_name(name: str, module: str, is_folder: bool) -> None:
    volume = Volume(name)
    assert (volume.module, volume.is_folder, volume.letter) == (module, is_folder, name[0])


@pytest.mark.parametrize("writer", ["SqlServerWriter", "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a} -p", "{A65FAA63-5EA8-4EBC-9DBD-A0C4DB26912A}"])
def test_a_writer_is_named_by_its_id_alone(writer: str) -> None:
    with pytest.raises(ConfigError, match="not the id of a writer"):
        HostSettings(host="h", address="h", exclude_writers=(writer,))


def test_two_volumes_are_never_served_under_one_name() -> None:
    with pytest.raises(ConfigError, match="both served as C_a_b"):
        HostSettings(host="h", address="h", volumes=(Volume(r"C:\a_b"), Volume(r"C:\a\b")))
