"""Servers that offer less than a session needs: refused before the first byte of ours is on the host.

Each is stock Samba, told so. What is refused by default, and taken only where the host's settings say so, is in
`test_only_an_explicit_setting_lets_a_weaker_session_in`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.contract.test_psexec_transport import ADMINISTRATOR, SambaHost, running
from tests.contract.transport_contract import within, written
from tests.security.tally import note
from vsspc.core.errors import AccessRefused, AuthRejected, HostUnreachable, VsspcError
from vsspc.lab.samba import Account

NOBODY = Account("nobody-knows-me", "Wrong-1")
GUESTS = {"map to guest": "Bad User", "guest account": "backup"}


def opened(host: SambaHost, account: Account = ADMINISTRATOR, *, encrypt: bool = True) -> VsspcError | None:
    """Open a session, write a file, and note whether that went; return the error that came of it."""
    error: VsspcError | None = None
    try:
        transport = host.factory(account, encrypt=encrypt).open(within(10))
        written(transport, "uploaded.txt", b"ours")
        transport.close()
    except VsspcError as raised:
        error = raised
    left = [path.name for path in host.root.iterdir()]
    note("downgrade", accepted=error is None or bool(left))
    assert left == ([] if error else ["uploaded.txt"])
    return error


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"server min protocol": "NT1", "server max protocol": "NT1"}, HostUnreachable, "does not speak SMB 2 or 3"),
        ({"server min protocol": "SMB2_02", "server max protocol": "SMB2_02"}, AccessRefused, "no SMB encryption"),
        ({"server max protocol": "SMB2_10"}, AccessRefused, "no SMB encryption"),
        ({"server max protocol": "SMB3_00", "server smb encrypt": "off"}, AccessRefused, "no SMB encryption"),
        ({"server smb encrypt": "off"}, AccessRefused, "no SMB encryption"),
        ({"server signing": "disabled", "server smb encrypt": "off"}, AccessRefused, "no SMB encryption"),
    ],
    ids=["SMB 1", "SMB 2.0", "SMB 2.1", "SMB 3.0 in the clear", "SMB 3.1.1 in the clear", "without signing"],
)
def test_a_server_that_cannot_protect_a_session_is_refused(
    options: Mapping[str, str], error: type[VsspcError], words: str
) -> None:
    with running(options=options) as host:
        refused = opened(host)
    assert type(refused) is error
    assert words in refused.message


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_guest_session_is_refused(encrypt: bool) -> None:
    with running(options=GUESTS) as host:
        refused = opened(host, NOBODY, encrypt=encrypt)
    assert type(refused) is AuthRejected
    assert "guest" in refused.message
    assert not refused.transient


def test_smb_1_is_refused_whatever_the_settings_say() -> None:
    with running(options={"server min protocol": "NT1", "server max protocol": "NT1"}) as host:
        assert type(opened(host, encrypt=False)) is HostUnreachable


@pytest.mark.parametrize("dialect", ["SMB2_02", "SMB2_10", "SMB3_00", "SMB3_11"])
def test_only_an_explicit_setting_lets_a_weaker_session_in(dialect: str) -> None:
    """Signed then, always: what is not is refused (test_packets)."""
    options = {"server min protocol": "SMB2_02", "server max protocol": dialect, "server smb encrypt": "off"}
    with running(options=options) as host:
        transport = host.factory(encrypt=False).open(within(10))
        written(transport, "uploaded.txt", b"ours")
        assert transport.security.encrypted is False
        transport.close()
        assert (host.root / "uploaded.txt").read_bytes() == b"ours"
