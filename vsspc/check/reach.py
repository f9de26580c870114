"""What is found of a host before anybody logs on: its SMB, and its clock. Pure."""

from __future__ import annotations

from datetime import timedelta

from vsspc.core.findings import Finding, Level
from vsspc.windows.negotiate import Negotiated

_NEGLIGIBLE = timedelta(minutes=1)
_TOLERATED = timedelta(minutes=5)
"""How far two clocks may be apart for Kerberos (krb5.conf(5), `clockskew`; Microsoft, "Maximum tolerance for computer clock
synchronization")."""
_SET_THE_CLOCK = "w32tm /resync /force"


def dialect(found: Negotiated) -> Finding:
    """Say which SMB the host speaks."""
    if found.dialect.startswith("2"):
        return Finding(
            "SMB dialect",
            Level.WARNING,
            f"SMB {found.dialect}: the host speaks no SMB 3, so nothing can be encrypted.",
            "a newer Windows: SMB 3 comes with Windows 8 and Server 2012",
        )
    return Finding("SMB dialect", Level.OK, f"SMB {found.dialect}.")


def signing(found: Negotiated) -> Finding:
    """Say whether the host insists on signatures. vsspc always does."""
    if found.signing_required:
        return Finding("signing", Level.OK, "The host requires it.")
    return Finding("signing", Level.OK, "vsspc requires it of the host; the host does not require it of others.")


def encryption(found: Negotiated, *, wanted: bool) -> Finding:
    """Say whether a session can be encrypted."""
    if found.cipher and wanted:
        return Finding("encryption", Level.OK, f"{found.cipher}.")
    if found.cipher:
        says = "The host encrypts, but this host's settings do without (encrypt = false): others can read what vsspc sends."
        return Finding("encryption", Level.WARNING, says, "encrypt = true")
    if wanted:
        return Finding(
            "encryption",
            Level.FAILED,
            "The host offers no SMB encryption, and vsspc sends it nothing without (Windows 8 and Server 2012 have it).",
            "encrypt = false    # for this host alone: others can then read what vsspc sends it",
        )
    says = "The host has none, and this host's settings do without: others can read what vsspc sends."
    return Finding("encryption", Level.WARNING, says, "Let the host speak SMB 3, then set encrypt = true.")


def clock(ahead: timedelta | None, *, kerberos: bool) -> Finding:
    """Say how far the host's clock is ahead of this server's; it tells in its first answer, to about a second."""
    if ahead is None:
        return Finding("clock", Level.SKIPPED, "Not looked at: the host does not tell the time before the logon.")
    if abs(ahead) < _NEGLIGIBLE:
        return Finding("clock", Level.OK, "The clocks of the host and of this server agree within a minute.")
    how = f"The host's clock is {_span(ahead)} {'ahead of' if ahead > timedelta() else 'behind'} this server's"
    if abs(ahead) <= _TOLERATED:
        return Finding("clock", Level.OK, f"{how}.")
    if kerberos:
        return Finding("clock", Level.FAILED, f"{how}: Kerberos allows 5 minutes, and gives no session.", _SET_THE_CLOCK)
    says = f"{how}: times in backups are off by that, and Kerberos would give no session."
    return Finding("clock", Level.WARNING, says, _SET_THE_CLOCK)


def _span(length: timedelta) -> str:
    minutes = round(abs(length).total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} days"
