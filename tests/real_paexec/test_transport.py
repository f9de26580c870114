"""The transport contract on the real PAExec and Wine's service manager, behind stock Samba."""

from __future__ import annotations

from tests.contract.transport_contract import TransportContract


class TestRealPAExec(TransportContract):
    """The contract, on the second tier."""
