"""Every exception of pypsexec and smbprotocol (and what they let through), in the words of `vsspc.core.errors`.

The tables are keyed by number, not by class: smbprotocol has no class for many statuses (a disabled account comes as
a bare SMBResponseException). References: [MS-ERREF] 2.3.1 (NTSTATUS) and 2.2 (Win32 codes), [MS-SCMR] 3.1.4.
"""

from __future__ import annotations

import logging
import struct
import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from cryptography.exceptions import InvalidTag
from pypsexec.exceptions import PAExecException, PypsexecException, SCMRException
from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.header import NtStatus

from vsspc.adapters.protection import Unprotected
from vsspc.core.errors import (
    AccessRefused,
    AccountLocked,
    AdminShareMissing,
    AuthRejected,
    InternalError,
    PayloadBlocked,
    RemoteCommandFailed,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    SessionLost,
    VsspcError,
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a number means to an administrator."""

    error: type[VsspcError]
    words: str
    transient: bool | None = None
    advice: str | None = None


_NO_DOMAIN: Final = "Check that the host reaches a domain controller, and its clock."
_DISK_FULL: Final = "Make room on the host's system drive."

_IN_USE: Final = _Meaning(SessionLost, "it is in use on the host", transient=True)
_MISSING: Final = _Meaning(RemoteFileMissing, "there is no such file or folder on the host")
_DENIED: Final = _Meaning(AccessRefused, "the host denies the account access")
_GONE: Final = _Meaning(SessionLost, "the host ended the session", transient=True)
_BUSY: Final = _Meaning(SessionLost, "the host is short of resources", transient=True)
_VIRUS: Final = _Meaning(PayloadBlocked, "the host's antivirus took the file for malware")

#: NTSTATUS at any time after the logon.
_STATUS: Final = {
    0xC000000F: _MISSING,  # NO_SUCH_FILE
    0xC0000034: _MISSING,  # OBJECT_NAME_NOT_FOUND
    0xC000003A: _MISSING,  # OBJECT_PATH_NOT_FOUND
    0xC0000225: _MISSING,  # NOT_FOUND
    0xC0000103: _Meaning(RemoteFileMissing, "it is not a folder"),  # NOT_A_DIRECTORY
    0xC0000035: _Meaning(RemoteFileExists, "the name is already taken on the host"),  # OBJECT_NAME_COLLISION
    0xC00000BA: _Meaning(RemoteFileExists, "a folder has that name"),  # FILE_IS_A_DIRECTORY
    0xC0000043: _IN_USE,  # SHARING_VIOLATION
    0xC0000054: _IN_USE,  # FILE_LOCK_CONFLICT
    0xC0000056: _IN_USE,  # DELETE_PENDING
    0xC0000121: _IN_USE,  # CANNOT_DELETE
    0xC0000243: _IN_USE,  # USER_MAPPED_FILE
    0xC0000101: _Meaning(RemoteFolderNotEmpty, "the folder is not empty"),  # DIRECTORY_NOT_EMPTY
    0x8000002D: _Meaning(SessionLost, "a link stands in its place", transient=False),  # STOPPED_ON_SYMLINK
    0xC0000022: _DENIED,  # ACCESS_DENIED
    0xC0000061: _DENIED,  # PRIVILEGE_NOT_HELD
    0xC00000CA: _DENIED,  # NETWORK_ACCESS_DENIED
    0xC00000CC: _Meaning(AdminShareMissing, "ADMIN$ is not shared"),  # BAD_NETWORK_NAME
    0xC000007F: _Meaning(RemoteCommandFailed, "the host's system drive is full", advice=_DISK_FULL),  # DISK_FULL
    0xC0000044: _Meaning(RemoteCommandFailed, "the disk quota on the host is used up", advice=_DISK_FULL),
    0xC00000A2: _Meaning(RemoteCommandFailed, "the host's system drive is write-protected", advice=""),
    0xC0000906: _VIRUS,  # VIRUS_INFECTED
    0xC0000907: _VIRUS,  # VIRUS_DELETED
    0xC00000C9: _GONE,  # NETWORK_NAME_DELETED
    0xC0000203: _GONE,  # USER_SESSION_DELETED
    0xC000035C: _GONE,  # NETWORK_SESSION_EXPIRED
    0xC0000120: _GONE,  # CANCELLED: the host's server service is stopping
    0xC0000128: _GONE,  # FILE_CLOSED
    0xC000009A: _BUSY,  # INSUFFICIENT_RESOURCES
    0xC0000205: _BUSY,  # INSUFF_SERVER_RESOURCES
    0xC00000D0: _BUSY,  # REQUEST_NOT_ACCEPTED
    0xC00000B5: _Meaning(SessionLost, "the host's disk does not answer in time", transient=True),  # IO_TIMEOUT
}

_LOCKED_OUT: Final = 0xC0000234
#: NTSTATUS in answer to the logon.
_LOGON: Final = {
    0xC000006D: "the user name or the password is wrong",
    0xC0000064: "there is no such user",
    0xC000006A: "the password is wrong",
    0xC0000072: "the account is disabled",
    _LOCKED_OUT: "the account is locked out",
    0xC0000071: "the password has expired",
    0xC0000224: "the password must be changed before the first logon",
    0xC0000193: "the account has expired",
    0xC000006E: "a restriction of the account forbids it (an empty password, for one)",
    0xC000006F: "the account may not log on at this hour",
    0xC0000070: "the account may not log on from this machine",
    0xC000015B: "the account may not log on over the network",
    0xC0000413: "the domain's authentication firewall forbids it",
    0xC0000418: "the host does not accept NTLM",
    0xC0000022: "the host denies it",
    0xC000018C: "the host has no trust relationship with the account's domain",
    0xC000018D: "the host's trust relationship with its domain is broken",
}
_NO_DOMAIN_CONTROLLER: Final = frozenset({0xC000005E, 0xC0000192, 0xC0000133})

#: Win32 codes of the service manager, of any call.
_SERVICE: Final = {
    5: _Meaning(AccessRefused, "the account may not manage services (error 5, access denied)"),
    1072: _Meaning(PayloadBlocked, "an earlier service of this name is still being removed (error 1072)", transient=True),
    1115: _Meaning(SessionLost, "the host is shutting down (error 1115)", transient=True),
}

#: Win32 codes of StartService: in answer to it, they speak of the program, not of the right to start it.
_SERVICE_START: Final = {
    2: "the program is no longer there (error 2)",
    3: "the program is no longer there (error 3)",
    5: "the program may not be run (error 5, access denied)",
    193: "the program is damaged (error 193, not a program)",
    216: "the host cannot run 32-bit programs (error 216)",
    225: "the antivirus took the program for malware (error 225)",
    1053: "the program did not answer in time (error 1053)",
    1058: "the service was disabled (error 1058)",
    1060: "the service is no longer there (error 1060)",
    1260: "a group policy forbids the program (error 1260)",
    4551: "an application control policy forbids the program (error 4551)",
}

#: What goes wrong inside the libraries when a message is not what it should be.
_PARSING: Final = (
    *(struct.error, LookupError, TypeError, ValueError, ArithmeticError),
    *(AttributeError, AssertionError, RecursionError, MemoryError),
)

#: What smbprotocol says when somebody changed a message: Connection.verify_signature, TreeConnect._verify.
_CHANGED: Final = ("signature could not be verified", "Secure negotiate failed")
_CHANGED_ADVICE: Final = (
    "Something between this server and the host changes packets, or answers in the host's place: find out what, before the"
    " next run."
)


def quieten_libraries() -> None:
    """Keep the libraries' own log records to themselves.

    At INFO, pypsexec writes the whole settings message of a process, and smbprotocol every message in full at DEBUG.
    At ERROR, smbprotocol's receiving thread writes a traceback when it dies, which Python prints to stderr where no
    handler is configured; it says nothing that the same exception, raised to us by the next call, does not say.
    """
    for name in ("pypsexec", "smbprotocol", "spnego"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def status_of(exc: BaseException) -> int | None:
    """Return the NTSTATUS that an exception carries, if it carries one."""
    return int(exc.status) if isinstance(exc, SMBResponseException) else None


def service_code_of(exc: BaseException) -> int | None:
    """Return the Win32 code of the service manager that an exception carries, if it carries one."""
    return int(exc.return_code) if isinstance(exc, SCMRException) else None


def translate(exc: Exception, doing: str) -> VsspcError:
    """Return our error for an exception of the libraries that came while `doing` (e.g. "reading x.rc").

    The result is not chained to the exception: its frames hold the session, and that the password.
    """
    if isinstance(exc, VsspcError):
        return exc
    status = status_of(exc)
    if status is not None:
        return _from_status(status, doing)
    if isinstance(exc, SCMRException):
        return _from_service_code(exc.function, exc.return_code, doing)
    if isinstance(exc, PAExecException):
        return _from_paexec(exc, doing)
    if isinstance(exc, Unprotected):
        return SessionLost(f"{doing}: {exc}", transient=False, advice=_CHANGED_ADVICE)
    if isinstance(exc, InvalidTag) or type(exc) is SMBException and any(words in str(exc) for words in _CHANGED):
        text = f"{doing}: the host's answer was changed on its way"
        return SessionLost(text, transient=False, advice=_CHANGED_ADVICE)
    if isinstance(exc, (SMBConnectionClosed, OSError)):
        return SessionLost(f"{doing}: the connection to the host broke{_reason(exc)}")
    if isinstance(exc, (SMBException, PypsexecException)):
        return SessionLost(f"{doing}: {_sentence(exc)}")
    if isinstance(exc, _PARSING):
        return SessionLost(f"{doing}: the host sent what is not SMB ({_place(exc)})")
    return InternalError(f"{doing}: {_place(exc)}")


def translate_logon(exc: Exception, account: str) -> VsspcError:
    """Return our error for an exception that came while the account was logging on."""
    status = status_of(exc)
    if status in _LOGON:
        kind = AccountLocked if status == _LOCKED_OUT else AuthRejected
        return kind(f"the host does not log {account} on: {_LOGON[status]} (NTSTATUS 0x{status:08X})")
    if status in _NO_DOMAIN_CONTROLLER:
        text = f"the host cannot ask a domain controller about {account} (NTSTATUS 0x{status:08X})"
        return SessionLost(text, advice=_NO_DOMAIN)
    if isinstance(exc, SMBAuthenticationError):
        return AuthRejected(f"the host and this server found no way to log {account} on (neither NTLM nor Kerberos)")
    if type(exc) is SMBException and "guest" in str(exc):
        return AuthRejected(f"the host took {account} for a guest, whose sessions cannot be protected")
    return translate(exc, f"logging {account} on")


def translate_start(exc: Exception, doing: str) -> VsspcError:
    """Return our error for an exception that came in answer to StartService."""
    words = _SERVICE_START.get(service_code_of(exc) or 0)
    return PayloadBlocked(f"{doing}: {words}") if words else translate(exc, doing)


def _from_status(status: int, doing: str) -> VsspcError:
    meaning = _STATUS.get(status)
    if meaning is None:
        return SessionLost(f"{doing}: the host answers {_status_name(status)}")
    text = f"{doing}: {meaning.words} ({_status_name(status)})"
    return meaning.error(text, transient=meaning.transient, advice=meaning.advice)


def _status_name(status: int) -> str:
    names = (name for name, value in vars(NtStatus).items() if value == status and name.startswith("STATUS_"))
    return f"{next(names, 'NTSTATUS')} 0x{status:08X}"


def _from_service_code(function: str, code: int, doing: str) -> VsspcError:
    meaning = _SERVICE.get(code)
    if meaning is None:
        return PayloadBlocked(f"{doing}: the service manager answers {code} to {function.removeprefix('R')}")
    return meaning.error(f"{doing}: {meaning.words}", transient=meaning.transient, advice=meaning.advice)


def _from_paexec(exc: PAExecException, doing: str) -> VsspcError:
    try:
        text = " ".join(str(exc).partition(": ")[2].split())
    except (struct.error, UnicodeError):
        text = ""
    blocked = any(f"[Err=0x{code:X}," in text for code in (5, 225, 1260, 4551))
    error = PayloadBlocked if blocked else RemoteCommandFailed
    return error(f"{doing}: the host's answer is {text or 'a refusal without a reason'}")


def _reason(exc: Exception) -> str:
    return f" ({exc.strerror})" if isinstance(exc, OSError) and exc.strerror else ""


def _place(exc: Exception) -> str:
    """Name an exception by its kind and where it was raised: its text may hold what was being sent."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" in {PurePath(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return type(exc).__name__ + where


def _sentence(exc: Exception) -> str:
    # Texts of smbprotocol and pypsexec themselves (credits, sizes, signatures, unexpected PDUs): one line, bounded.
    return " ".join(str(exc).split())[:200].rstrip(".") or type(exc).__name__
