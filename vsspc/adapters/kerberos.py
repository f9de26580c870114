"""Kerberos tickets, by MIT's library: the only module that imports krb5 and gssapi (the extra `kerberos`).

A ticket for the host is fetched before smbprotocol wants one: it then finds it in the cache. So what went wrong is told
in our words, and the waiting is ours: MIT's library asks a silent KDC for 27 s (measured), in C, where no signal and no
deadline of ours reaches it. It runs in a thread of its own therefore, which is left to itself when the time is up.

References: RFC 4120 (7.5.9, error codes), RFC 4121; MIT krb5 src/lib/krb5/error_tables/krb5_err.et, k5e1_err.et.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from vsspc.core.deadline import Deadline
from vsspc.core.errors import AccountLocked, AuthRejected, ConfigError, InternalError, NoTicket, SecretError, VsspcError
from vsspc.core.logon import Logon
from vsspc.core.secret import Secret
from vsspc.ports import Clock

#: How often the wait for the library looks whether a signal or the deadline wants it to end.
_SLICE_SECONDS: Final = 0.02
#: KRB5KDC_ERR_NONE: the error codes of RFC 4120 are counted from here, the library's own lie above.
_RFC4120: Final = -1765328384
#: Error codes are signed; gssapi gives them without their sign.
_UNSIGNED: Final = 1 << 32
#: GSS_S_CREDENTIALS_EXPIRED, GSS_S_CONTEXT_EXPIRED (RFC 2744, 3.9.1): which one depends on when the ticket ran out.
_GSS_EXPIRED: Final = frozenset({11 << 16, 12 << 16})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the library said, without the exception: its frames hold the password."""

    code: int
    """As in krb5_err.et; 0 when it gave none."""
    text: str
    expired: bool = False


SKEW: Final = Trouble(_RFC4120 + 37, "")
"""The host has another time than this server."""
OTHER_KEY: Final = Trouble(_RFC4120 + 41, "")
"""The host cannot read its ticket."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    error: type[VsspcError]
    words: str
    advice: str | None = None
    transient: bool = False


_CLOCK_ADVICE: Final = "Set the clocks of this server, the host and the KDC by one source (NTP); five minutes are tolerated."
_NAME_ADVICE: Final = (
    "Set `name` to a name that the host has in its domain (`setspn -L HOST` lists them; HOST/name serves for cifs/name)."
)
_RENEW_ADVICE: Final = "Renew it by `kinit`, or let k5start keep it; a keytab needs no renewal."
_REALM_ADVICE: Final = "Name the realm and its KDC in krb5.conf, or give `principal` with its realm."
_CACHE_ADVICE: Final = "As the backup user, `klist -c CCACHE` and `klist -k KEYTAB` show what is there."
_KDC_ADVICE: Final = "Does the KDC run, and does krb5.conf (or the DNS) name the right one?"

#: By the error code, counted from _RFC4120.
_MEANINGS: Final = {
    1: _Meaning(AuthRejected, "the account has expired"),  # KDC_ERR_NAME_EXP
    6: _Meaning(AuthRejected, "the KDC knows no such account"),  # KDC_ERR_C_PRINCIPAL_UNKNOWN
    7: _Meaning(NoTicket, "the KDC knows no host of this name", _NAME_ADVICE),  # KDC_ERR_S_PRINCIPAL_UNKNOWN
    12: _Meaning(AuthRejected, "a policy of the KDC forbids the logon"),  # KDC_ERR_POLICY
    14: _Meaning(NoTicket, "the KDC and this server have no encryption type in common"),  # KDC_ERR_ETYPE_NOTSUPP
    18: _Meaning(AccountLocked, "the account is locked out or disabled"),  # KDC_ERR_CLIENT_REVOKED
    23: _Meaning(AuthRejected, "the password has expired"),  # KDC_ERR_KEY_EXPIRED
    24: _Meaning(AuthRejected, "the password, or the key of the keytab, is wrong"),  # KDC_ERR_PREAUTH_FAILED
    31: _Meaning(AuthRejected, "the password, or the key of the keytab, is wrong"),  # KRB_AP_ERR_BAD_INTEGRITY
    32: _Meaning(NoTicket, "the ticket has expired", _RENEW_ADVICE),  # KRB_AP_ERR_TKT_EXPIRED
    33: _Meaning(NoTicket, "the clocks differ too much", _CLOCK_ADVICE),  # KRB_AP_ERR_TKT_NYV
    37: _Meaning(NoTicket, "the clocks differ too much", _CLOCK_ADVICE),  # KRB_AP_ERR_SKEW
    41: _Meaning(NoTicket, "the host has another key than the KDC", "Has the host joined its domain anew?"),  # ERR_MODIFIED
    68: _Meaning(NoTicket, "the KDC says that the account is of another realm", _REALM_ADVICE),  # KDC_ERR_WRONG_REALM
    148: _Meaning(NoTicket, "the clocks differ too much", _CLOCK_ADVICE),  # KRB5_KDCREP_SKEW
    154: _Meaning(NoTicket, "no KDC is known for the realm", _REALM_ADVICE),  # KRB5_REALM_UNKNOWN
    156: _Meaning(NoTicket, "no KDC answers", _KDC_ADVICE, True),  # KRB5_KDC_UNREACH
    141: _Meaning(SecretError, "the credential cache has no ticket of the account", _CACHE_ADVICE),  # KRB5_CC_NOTFOUND
    181: _Meaning(SecretError, "the keytab has no key of the account", _CACHE_ADVICE),  # KRB5_KT_NOTFOUND
    194: _Meaning(SecretError, "the credential cache cannot be read", _CACHE_ADVICE),  # KRB5_FCC_PERM
    195: _Meaning(SecretError, "there is no such credential cache", _CACHE_ADVICE),  # KRB5_FCC_NOFILE
    210: _Meaning(NoTicket, "the account's key cannot be used", _CACHE_ADVICE),  # KRB5_PREAUTH_FAILED: not sent, even
    220: _Meaning(NoTicket, "the KDC's name cannot be resolved", _KDC_ADVICE, True),  # KRB5_REALM_CANT_RESOLVE
    224: _Meaning(NoTicket, "krb5.conf names no default realm", _REALM_ADVICE),  # KRB5_CONFIG_NODEFREALM
}


class Kerberos:
    """Tickets of one account for one host. Those that it asked for itself are in memory, until `close`."""

    def __init__(self, logon: Logon, clock: Clock) -> None:
        """Take a logon that has `tickets`."""
        if logon.tickets is None:
            raise InternalError("a logon without tickets was taken for Kerberos")
        self._logon = logon
        self._tickets = logon.tickets
        self._clock = clock
        self._own = ""

    def cache(self, deadline: Deadline) -> str:
        """Return the name of a credential cache that has a ticket for the host; ask the KDC for what is missing.

        Raise AuthRejected, NoTicket, SecretError, or ConfigError without the libraries.
        """
        _check_installed()
        cache = self._tickets.ccache or self._own
        if not cache:
            cache = self._own = self._asked("", self._initial, deadline)
        self._asked(self._tickets.host, lambda: _fetch(cache, self._tickets.principal, self._tickets.host), deadline)
        return cache

    def explain(self, trouble: Trouble, host: str = "") -> VsspcError:
        """Return our error for a trouble; with `host`, of the ticket for it."""
        who = self._logon.principal or self._logon.account
        doing = f"no Kerberos ticket of {who}" + (f" for cifs/{host}" if host else "")
        meaning = _MEANINGS.get(trouble.code - _RFC4120)
        if meaning is None and trouble.expired:
            meaning = _MEANINGS[32]
        if meaning is None:
            return NoTicket(f"{doing}: {trouble.text}")
        words = f"{doing}: {meaning.words}" + (f" ({trouble.text})" if trouble.text else "")
        return meaning.error(words, transient=meaning.transient, advice=meaning.advice)

    def close(self) -> None:
        """Forget the tickets that were asked for. Never raises."""
        cache, self._own = self._own, ""
        if cache:
            with contextlib.suppress(Exception):
                import krb5

                context = krb5.init_context()
                krb5.cc_destroy(context, krb5.cc_resolve(context, cache.encode()))

    def _initial(self) -> str:
        """Get a ticket-granting ticket, by the keytab or the password, into a cache in memory; return its name."""
        credentials = self._logon.credentials
        return _initial(self._logon.principal, self._tickets.keytab, credentials.password if credentials else None)

    def _asked(self, host: str, work: Callable[[], str], deadline: Deadline) -> str:
        """Do what may ask the KDC, in a thread, for as long as the deadline allows."""
        outcome: list[str | Trouble] = []
        thread = threading.Thread(target=lambda: outcome.append(_done(work)), name="kerberos", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_SLICE_SECONDS)
            if (interrupted := self._clock.stopped()) is not None:
                raise interrupted
            if thread.is_alive() and deadline.spent(self._clock.now()):
                raise self.explain(Trouble(_RFC4120 + 156, f"the time is up: {deadline.name}"), host)
        if isinstance(outcome[0], Trouble):
            raise self.explain(outcome[0], host)
        return outcome[0]


def trouble_of(exc: BaseException | None) -> Trouble | None:
    """Return what a Kerberos library said, if one of the errors behind an exception is its own."""
    for one in _behind(exc):
        if type(one).__module__.startswith("krb5.") and hasattr(one, "err_code"):
            return Trouble(int(one.err_code), _text(one))
        if type(one).__module__.startswith("gssapi.") and hasattr(one, "min_code"):
            code = int(one.min_code)
            expired = int(getattr(one, "maj_code", 0)) & 0xFF0000 in _GSS_EXPIRED
            return Trouble(code - _UNSIGNED if code >> 31 else code, "" if expired else _text(one), expired)
    return None


def _behind(exc: BaseException | None) -> Iterator[Any]:
    for _ in range(10):
        if exc is None:
            return
        yield exc
        exc = getattr(exc, "base_error", None) or exc.__cause__


def _done(work: Callable[[], str]) -> str | Trouble:
    """Do it; return what it returns, or what went wrong, without the exception and its frames."""
    try:
        return work()
    except Exception as exc:  # noqa: BLE001 the libraries let anything through
        return trouble_of(exc) or Trouble(0, type(exc).__name__)


def _text(exc: BaseException) -> str:
    # krb5: "TEXT CODE"; gssapi: "Major (CODE): TEXT, Minor (CODE): TEXT".
    text = " ".join(str(exc).split()).rpartition("): ")[2]
    code = getattr(exc, "err_code", None)
    return text.removesuffix(f" {code}")[:200].rstrip(".") or type(exc).__name__


def _check_installed() -> None:
    try:
        import gssapi  # noqa: F401
        import krb5  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Kerberos is configured, and the Python packages gssapi and krb5 are not installed",
            advice="Install vsspc[kerberos] (docs/credentials.md), or let the host have another `auth`.",
        ) from None


def _initial(principal: str, keytab: str, password: Secret | None) -> str:
    import krb5

    context = krb5.init_context()
    options = krb5.get_init_creds_opt_alloc(context)
    krb5.get_init_creds_opt_set_canonicalize(options, True)
    krb5.get_init_creds_opt_set_forwardable(options, False)
    if keytab:
        keys = krb5.kt_resolve(context, b"FILE:" + keytab.encode())
        entry = None if principal else next(iter(keys), None)
        # The entry owns its principal: it has to live as long.
        whose = entry.principal if entry is not None else krb5.parse_name_flags(context, principal.encode())
        ticket = krb5.get_init_creds_keytab(context, whose, options, keytab=keys)
    else:
        whose = krb5.parse_name_flags(context, principal.encode())
        given = password.reveal().encode() if password is not None else b""
        ticket = krb5.get_init_creds_password(context, whose, options, password=given)
    cache = krb5.cc_new_unique(context, b"MEMORY")
    krb5.cc_initialize(context, cache, ticket.client)
    krb5.cc_store_cred(context, cache, ticket)
    return f"MEMORY:{(cache.name or b'').decode()}"


def _fetch(cache: str, principal: str, host: str) -> str:
    """Have the cache hold a ticket for the host. The first token that gssapi makes with it is thrown away."""
    import gssapi

    kerberos = gssapi.MechType.kerberos
    name = gssapi.Name(principal, gssapi.NameType.user) if principal else None
    acquired = gssapi.raw.acquire_cred_from({b"ccache": cache.encode()}, name=name, mechs=[kerberos], usage="initiate")
    service = gssapi.Name(f"cifs@{host}", gssapi.NameType.hostbased_service)
    credentials = gssapi.Credentials(base=acquired.creds, usage="initiate")
    gssapi.SecurityContext(name=service, creds=credentials, usage="initiate", mech=kerberos).step()
    return cache
