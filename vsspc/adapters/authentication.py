"""By what a session is logged on: Kerberos or NTLM, decided before anything of the account is sent.

smbprotocol has pyspnego negotiate: of a list of credentials, pyspnego offers the host what it can do with them, and quietly
leaves out what fails. So it is given one way only, that which was chosen here; what fails is told, and nothing else is
tried with the same password. (pyspnego would try Kerberos with any password as soon as its libraries are installed,
and NTLM after that: a wrong password would count twice.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from vsspc.adapters import lean

lean.load()  # before whoever imports pyspnego first

import spnego

from vsspc.adapters.foreign import status_of, translate_logon
from vsspc.adapters.kerberos import OTHER_KEY, SKEW, Kerberos, trouble_of
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AuthRejected, NoTicket, VsspcError
from vsspc.core.logon import Logon
from vsspc.ports import Clock

#: Mechanisms as they stand in the host's first token ([MS-SPNG] 2.2.1): object identifiers, in DER without their head.
_KERBEROS: Final = (bytes.fromhex("2a864886f712010202"), bytes.fromhex("2a864882f712010202"))
_NTLM: Final = (bytes.fromhex("2b06010401823702020a"),)
#: A cache without tickets: with it before the password, pyspnego finds nothing for Kerberos and offers NTLM alone.
_NO_TICKETS: Final = "MEMORY:vsspc-has-no-ticket"
#: By this variable of the environment pyspnego would let NTLM of 1996 be used (NTLMv1, LM).
_WEAKENS_NTLM: Final = "LM_COMPAT_LEVEL"
#: What these NTSTATUS mean where no password was sent.
_REFUSALS: Final = {
    0xC000006D: OTHER_KEY,  # LOGON_FAILURE: Samba's answer to a ticket that it cannot decrypt
    0xC0000133: SKEW,  # TIME_DIFFERENCE_AT_DC
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a session is to be logged on. `credentials` are pyspnego's, `target` is the host's name for them."""

    method: str
    credentials: list[Any]
    target: str


class Authentication:
    """One account at one host, for every session of a command."""

    def __init__(self, logon: Logon, clock: Clock) -> None:
        self._logon = logon
        self._kerberos = Kerberos(logon, clock) if logon.tickets is not None else None

    @property
    def account(self) -> str:
        """Who logs on, for messages."""
        return self._logon.account

    def way(self, offered: bytes, address: str, deadline: Deadline) -> Way:
        """Return how to log on to a host that offers this (its first SPNEGO token), reached at that address.

        May ask the KDC. Raise AuthRejected when there is no way, and what Kerberos.cache raises.
        """
        no_ticket: NoTicket | None = None
        if self._kerberos is not None and self._logon.tickets is not None and _offers(offered, _KERBEROS):
            try:
                cache = self._kerberos.cache(deadline)
                return Way("Kerberos", [spnego.KerberosCCache(cache)], self._logon.tickets.host)
            except NoTicket as error:
                no_ticket = error
        if no_ticket is not None and not self._logon.ntlm:
            raise no_ticket
        if self._logon.credentials is not None and self._logon.ntlm and _offers(offered, _NTLM):
            os.environ.pop(_WEAKENS_NTLM, None)
            why = f", since there is {no_ticket.message}" if no_ticket is not None else ""
            password = spnego.Password(self._logon.credentials.account, self._logon.credentials.password.reveal())
            return Way(f"NTLM{why}", [spnego.KerberosCCache(_NO_TICKETS), password], address)
        raise no_ticket or self._refused()

    def explain(self, exc: Exception, way: Way) -> VsspcError:
        """Return our error for an exception that came while the account was logging on."""
        error = translate_logon(exc, self.account)
        if way.method == "Kerberos" and self._kerberos is not None:
            if (trouble := trouble_of(exc)) is not None:
                return self._kerberos.explain(trouble, way.target)
            if (refusal := _REFUSALS.get(status_of(exc) or 0)) is not None:
                return self._kerberos.explain(refusal, way.target)
        return error

    def close(self) -> None:
        """Forget the tickets that were asked for. Never raises."""
        if self._kerberos is not None:
            self._kerberos.close()

    def _refused(self) -> AuthRejected:
        if self._logon.ntlm:
            return AuthRejected(
                f"the host does not offer NTLM, and {self.account} has no tickets",
                advice='Use Kerberos for it: auth = "kerberos" (docs/credentials.md).',
            )
        return AuthRejected(
            f"the host does not offer Kerberos, and {self.account} logs on by nothing else",
            advice="Only a host that is in a domain takes tickets; for others use a password and auth = \"ntlm\".",
        )


def _offers(token: bytes, mechanisms: tuple[bytes, ...]) -> bool:
    """Say whether the host offers a mechanism; one that tells nothing may have any."""
    return not token or any(mechanism in token for mechanism in mechanisms)
