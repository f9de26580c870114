"""How vsspc logs on to a host: by a password, by Kerberos tickets, or by whichever of the two the host takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vsspc.core.secret import Credentials

AuthChoice = Literal["negotiate", "kerberos", "ntlm"]
"""`kerberos`, `ntlm`: that, or no session; `negotiate`: Kerberos where tickets are configured, else NTLM (`Logon.of`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogonSettings:
    """What is configured of it, of one host. An empty text means that it is not."""

    host: str
    """The host's name in its tickets, `cifs/HOST`: not where it is reached."""
    auth: AuthChoice = "negotiate"
    credentials_file: str = ""
    keyring: str = ""
    username: str = ""
    ccache: str = ""
    keytab: str = ""
    principal: str = ""

    @property
    def wants_password(self) -> bool:
        """Whether a password is needed: not where a credential cache or a keytab takes its place."""
        return not (self.ccache or self.keytab)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tickets:
    """Kerberos: the name that tickets are for, and what they are got with.

    From a credential cache of MIT's (`ccache`, "FILE:/run/…"), else with the keys of a `keytab`, else with the password of
    the Logon. `principal` is whose they are, `user@REALM`; empty: the cache's own, or that of the keytab's first entry.
    """

    host: str
    ccache: str = ""
    keytab: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logon:
    """How to log on. With `tickets` by Kerberos; with `ntlm` by NTLM; with both by what the host offers, Kerberos first."""

    credentials: Credentials | None = None
    tickets: Tickets | None = None
    ntlm: bool = True

    @classmethod
    def of(cls, settings: LogonSettings, credentials: Credentials | None) -> Logon:
        """Return what the settings ask for. `credentials` are None where they want no password.

        Where a cache or a keytab is configured, no password is known, and NTLM is not possible: there is nothing to fall
        back to. With a password, `negotiate` asks for tickets only if a `principal` says in which realm.
        """
        tickets = Tickets(
            host=settings.host, ccache=settings.ccache, keytab=settings.keytab, principal=settings.principal
        )
        if credentials is None:
            return cls(tickets=tickets, ntlm=False)
        if settings.auth == "kerberos":
            return cls(credentials=credentials, tickets=tickets, ntlm=False)
        by_tickets = settings.auth == "negotiate" and settings.principal != ""
        return cls(credentials=credentials, tickets=tickets if by_tickets else None)

    @property
    def account(self) -> str:
        """Who logs on, for messages."""
        if self.tickets is not None and self.tickets.principal:
            return self.tickets.principal
        if self.credentials is not None:
            return self.credentials.account
        source = (self.tickets.ccache or self.tickets.keytab) if self.tickets is not None else ""
        return f"the account of {source}"

    @property
    def principal(self) -> str:
        """Whose tickets are asked for, as Kerberos names it; empty: as the cache or the keytab says.

        An account's domain is its realm if it looks like one (it has a dot); else krb5.conf's `default_realm` is meant.
        """
        if self.tickets is not None and self.tickets.principal:
            return self.tickets.principal
        if self.credentials is None:
            return ""
        domain, backslash, user = self.credentials.username.rpartition("\\")
        domain = domain if backslash else self.credentials.domain
        return f"{user}@{domain.upper()}" if "." in domain.strip(".") and "@" not in user else user

    def wipe(self) -> None:
        """Overwrite the password: nobody logs on with it any more."""
        if self.credentials is not None:
            self.credentials.password.wipe()
