"""What is found of the account on the host, and of what earlier runs left there. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vsspc.core.errors import AdminShareMissing, VsspcError
from vsspc.core.findings import Finding, Level
from vsspc.core.words import RUN_ID, Lease, State
from vsspc.ports import RemoteFile, SessionSecurity
from vsspc.windows import acl
from vsspc.windows.scripts.survey import TOKEN_FILTER, TOKEN_FILTER_VALUE

UAC, ADMIN, MANAGER = "remote UAC", "ADMIN$", "service manager"
_NO_FILTER = f"reg add {TOKEN_FILTER} /v {TOKEN_FILTER_VALUE} /t REG_DWORD /d 1 /f"
_PARAMETERS = r"HKLM\SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters"
_SHARE_AGAIN = (
    f"reg delete {_PARAMETERS} /v AutoShareServer /f & reg delete {_PARAMETERS} /v AutoShareWks /f"
    " & net stop /y LanmanServer & net start LanmanServer"
)
_SERVICE_FILE = re.compile(rf"vsspc-({RUN_ID.pattern})-[0-9a-f]{{4}}\.exe", re.IGNORECASE)
_NOW_FILE = re.compile(rf"now-({RUN_ID.pattern})", re.IGNORECASE)
_SHOWN = 5


def logon(security: SessionSecurity, account: str) -> Finding:
    """Say how the account logged on."""
    how = security.auth or "a way that it did not tell"
    if how.startswith("NTLM") and "," in how:
        says = f"{account} is logged on, by {how}: Kerberos was wanted, and was not to be had."
        return Finding("logon", Level.WARNING, says, 'auth = "kerberos"    # no NTLM in its place: docs/credentials.md')
    return Finding("logon", Level.OK, f"{account} is logged on, by {how}.")


def is_local(account: str) -> bool:
    """Say whether an account looks like one of the host's own: no domain, no realm."""
    domain = account.partition("\\")[0] if "\\" in account else ""
    return "@" not in account and domain in ("", ".")


def rights(errors: Mapping[str, VsspcError], account: str) -> list[Finding]:
    """Say what the account may do: the rights of an administrator, ADMIN$, the service manager.

    `errors` are those of what was refused: `ADMIN$`, `C$`, `manager`.
    """
    admin, manager = errors.get("ADMIN$"), errors.get("manager")
    missing = isinstance(admin, AdminShareMissing)
    refused = [ADMIN] if admin is not None and not missing else []
    refused += ["C$"] if missing and "C$" in errors and not isinstance(errors["C$"], AdminShareMissing) else []
    refused += ["the service manager"] if manager is not None and "denie" in manager.message else []
    return [_filtered(refused, account), _share(errors, missing, bool(refused)), _manager(manager, bool(refused))]


def _filtered(refused: Sequence[str], account: str) -> Finding:
    if not refused:
        return Finding(UAC, Level.OK, f"{account} has an administrator's rights over the network.")
    what = " and ".join(refused)
    name = account.rpartition("\\")[2]
    if is_local(account):
        says = (
            f"{account} may log on, and is refused {what}. Over the network Windows takes the administrator's rights away from"
            f" local accounts other than the built-in Administrator, unless {TOKEN_FILTER_VALUE} is 1. It hides from this check"
            " what only an administrator sees. Where it is 1 already, the account is no administrator:"
            f" net localgroup Administrators {name} /add"
        )
        return Finding(UAC, Level.FAILED, says, _NO_FILTER)
    says = f"{account} may log on, and is refused {what}: it is no administrator of the host. That hides what only one sees."
    return Finding(UAC, Level.FAILED, says, f'net localgroup Administrators "{account}" /add')


def _share(errors: Mapping[str, VsspcError], missing: bool, refused: bool) -> Finding:
    if missing:
        seen = "" if "C$" in errors else " The rest of the host was looked at through C$."
        says = f"The host does not share ADMIN$, where a run puts its programs: no run begins.{seen}"
        return Finding(ADMIN, Level.FAILED, says, _SHARE_AGAIN)
    if ADMIN in errors:
        return Finding(ADMIN, Level.SKIPPED, f"It is shared, and refused to the account: see {UAC}.")
    return Finding(ADMIN, Level.OK, "It is shared, and open to the account.")


def _manager(error: VsspcError | None, refused: bool) -> Finding:
    if error is None:
        return Finding(MANAGER, Level.OK, "It is open to the account.")
    if refused:
        return Finding(MANAGER, Level.SKIPPED, f"Refused to the account: see {UAC}.")
    return Finding(MANAGER, Level.FAILED, error.message + ".", error.next_step)


def folder(descriptor: bytes | None, host: str) -> Finding:
    r"""Say whether %SystemRoot%\vsspc, which is there, can be relied on. `descriptor` is None for what is no folder."""
    why = "it is a link or a file" if descriptor is None else acl.objection(descriptor)
    if why is None:
        return Finding("our folder", Level.OK, r"%SystemRoot%\vsspc is there, closed to all but administrators.")
    says = rf"%SystemRoot%\vsspc on the host cannot be used: {why}. What lies in it would run as LocalSystem: look at it."
    return Finding("our folder", Level.FAILED, says, rf"vsspc check --mend {host}    # or there: rd /s /q %SystemRoot%\vsspc")


@dataclass(frozen=True, slots=True)
class Left:
    """What carries our names on the host: run folders, service programs, other files. `owner` is the owner file's content."""

    folders: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    owner: bytes | None = None
    owner_age: float = 0.0
    """Seconds, on the host's clock."""


def left(home: Sequence[RemoteFile], runs: Sequence[RemoteFile], system: Sequence[RemoteFile]) -> Left:
    r"""Pick out of the listings of %SystemRoot%\vsspc, its `runs`, and %SystemRoot% what carries exactly our names."""
    return Left(
        tuple(one.name.lower() for one in runs if one.is_folder and RUN_ID.fullmatch(one.name.lower())),
        tuple(one.name.lower() for one in system if _SERVICE_FILE.fullmatch(one.name)),
        tuple(one.name.lower() for one in home if _NOW_FILE.fullmatch(one.name)),
    )


def leftovers(
    found: Left, lease: Lease | None, server: str, host: str, markers: Collection[str] = (), *, busy: bool = False
) -> Finding:
    """Say what earlier runs left on the host. What a run that waits, is at work, or is another server's has there is none.

    `markers` are the runs whose marker folders lie on its volumes; `busy`: a command of this server is at work there.
    """
    holder, run, ttl = _owner(found.owner)
    waiting = {lease.run} if lease is not None and (busy or lease.state is State.WAIT) else set()
    active = _is_active(holder, server, found, ttl)
    known = waiting | ({run} if active else set())
    things = [f"the folder of run {one}" for one in found.folders if one not in known]
    things += [f"the service program {one}" for one in found.programs if _run_of(_SERVICE_FILE, one) not in known]
    things += [f"the file {one}" for one in found.files if _run_of(_NOW_FILE, one) not in known]
    things += [f"a marker folder of run {one}" for one in markers if one not in known and one not in found.folders]
    if found.owner is not None and run not in known:
        things.append("an owner file" + (f" of {ascii(holder)[:60]}, expired" if holder not in (None, server) else ""))
    owed = sorted({one.kind.value.replace("_", " ") for one in lease.held}) if lease and not waiting else []
    if owed:
        things.append(f"what this server's lease owes ({', '.join(owed)})")
    if things:
        more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
        says = f"Earlier runs left {', '.join(things[:_SHOWN])}{more}. The next run settles it."
        return Finding("leftovers", Level.WARNING, says, f"vsspc check --mend {host}")
    if active:
        return Finding("leftovers", Level.OK, f"Another server works on the host: {at_work(found, server)}.")
    if waiting:
        does = "is at work" if busy else "waits for its post"
        return Finding("leftovers", Level.OK, f"Nothing but run {next(iter(waiting))}, which {does}.")
    return Finding("leftovers", Level.OK, "Nothing of earlier runs is on the host.")


def at_work(found: Left, server: str) -> str:
    """Return who works on the host now if that is another server, "" otherwise: nothing is to be started beside its run."""
    holder, run, ttl = _owner(found.owner)
    return f"{ascii(holder)[:60]}, run {ascii(run)[:20]}" if _is_active(holder, server, found, ttl) else ""


def _is_active(holder: str | None, server: str, found: Left, ttl: float) -> bool:
    return holder not in (None, server) and found.owner_age <= ttl


def _owner(content: bytes | None) -> tuple[str | None, str | None, float]:
    """Return the server, the run and the seconds of an owner file; whatever it holds."""
    try:
        record = json.loads(content or b"{}")
        server, run, ttl = record.get("server"), record.get("run"), record.get("ttl")
    except (ValueError, RecursionError, AttributeError):
        return None, None, 0.0
    seconds = float(max(0, min(ttl, 30 * 86400))) if isinstance(ttl, (int, float)) else 0.0
    return (server if isinstance(server, str) else None), (run if isinstance(run, str) else None), seconds


def _run_of(pattern: re.Pattern[str], name: str) -> str:
    found = pattern.fullmatch(name)
    return found[1].lower() if found else ""
