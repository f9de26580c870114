"""The account for a host: where its password is kept, and that nobody else could have read it.

A password is looked for in this order; the first place that has one counts:

    1. systemd's $CREDENTIALS_DIRECTORY, a credential named `vsspc` (systemd.exec(5), LoadCredential=)
    2. the environment: VSSPC_USERNAME, VSSPC_PASSWORD, VSSPC_DOMAIN
    3. the keyring (the extra `keyring`), for a host whose settings name one
    4. `credentials_file`

Where a credential cache or a keytab is configured, none is looked for. Files may lie in systemd's folder:
`credentials_file = "$CREDENTIALS_DIRECTORY/winbox"`, and `keytab`, `ccache` likewise.

An error of this module never carries a password: not in its text, nor in the frames or the errors behind it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vsspc.core.errors import SecretError
from vsspc.core.logon import Logon, LogonSettings
from vsspc.core.secret import Credentials, Secret

_LIMIT: Final = 16 * 1024
_VARIABLE: Final = "$CREDENTIALS_DIRECTORY/"
_CLOSE_IT: Final = "Let the file belong to the backup user, with mode 0600."
_PASSWORD_ALONE: Final = "Give rsync_password_file one line with the password, owned by the backup user, mode 0600."
_PUT_IT: Final = {
    "the keytab": "Put the account's keytab there, for the backup user alone (docs/credentials.md).",
    "the credential cache": "Let kinit or k5start put the account's tickets there, as the backup user.",
}


def logon(settings: LogonSettings, environment: Mapping[str, str]) -> Logon:
    """Return how to log on to a host. Raise SecretError when its account is not to be had, or not kept to ourselves."""
    settings = replace(
        settings,
        credentials_file=_expanded(settings.credentials_file, environment),
        ccache=_expanded(settings.ccache, environment),
        keytab=_expanded(settings.keytab, environment),
    )
    if settings.keytab:
        _check_closed(settings.keytab, "the keytab", environment)
    if (cache := _file_of(settings.ccache)) is not None:
        _check_closed(cache, "the credential cache", environment)
    return Logon.of(settings, _password(settings, environment) if settings.wants_password else None)


def _password(settings: LogonSettings, environment: Mapping[str, str]) -> Credentials:
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and os.path.exists(os.path.join(folder, "vsspc")):
        return _of_file(os.path.join(folder, "vsspc"), environment)
    if "VSSPC_USERNAME" in environment:
        return _of_environment(environment)
    if settings.keyring:
        return _of_keyring(settings.keyring, settings.username)
    return _of_file(settings.credentials_file, environment)


def rsync_password(file: str) -> Secret:
    """Return the password in a file that holds it alone on its one line (an end of line more is fine).

    Raise SecretError when there is none, or when others may read the file.
    """
    try:
        content = _read(file, {}, "the password file")
    except SecretError as error:
        raise SecretError(error.message, advice=_PASSWORD_ALONE) from None
    line = content.rstrip(b"\r\n")
    content[:] = bytes(len(content))
    if len(content) > _LIMIT or not line or not line.isascii() or b"\n" in line or b"\r" in line:
        line[:] = bytes(len(line))
        raise SecretError(f"the password file {file} does not hold one line", advice=_PASSWORD_ALONE)
    secret = Secret(line)
    line[:] = bytes(len(line))
    return secret


def _of_environment(environment: Mapping[str, str]) -> Credentials:
    if not environment.get("VSSPC_PASSWORD"):
        raise SecretError("VSSPC_USERNAME is set, VSSPC_PASSWORD is not")
    if not _is_text(environment["VSSPC_PASSWORD"]):
        raise SecretError("VSSPC_PASSWORD is not UTF-8")
    return Credentials(
        environment["VSSPC_USERNAME"], Secret(environment["VSSPC_PASSWORD"]), environment.get("VSSPC_DOMAIN", "")
    )


def _of_keyring(service: str, username: str) -> Credentials:
    try:
        import keyring
    except ImportError:
        raise SecretError(
            "a keyring is configured, and the Python package keyring is not installed",
            advice="Install vsspc[keyring], or set credentials_file.",
        ) from None
    why = ""
    password: str | None = None
    try:
        password = keyring.get_password(service, username)
    except Exception as exc:  # noqa: BLE001 a backend may raise anything; its words are not ours to pass on
        why = f" ({type(exc).__name__})"
    if not password:
        raise SecretError(
            f"the keyring gives no password of {username} for the service {service}{why}",
            advice=f"As the backup user: `keyring set {service} {username}`; `keyring diagnose` tells which backend is used.",
        )
    return Credentials(username, Secret(password))


def _of_file(file: str, environment: Mapping[str, str]) -> Credentials:
    content = _read(file, environment)
    fields, why = _parsed(content)
    content[:] = bytes(len(content))
    if not why and (missing := [name for name in ("username", "password") if not fields.get(name)]):
        why = f"has no {' and no '.join(missing)}"
    if why:
        for secret in fields.values():
            secret.wipe()
        raise SecretError(f"the credentials file {file} {why}")
    domain = fields["domain"].reveal() if "domain" in fields else ""
    return Credentials(fields["username"].reveal(), fields["password"], domain)


def _parsed(content: bytearray) -> tuple[dict[str, Secret], str]:
    """Read smbclient's form (smbclient(1), --authentication-file): `username = `, `password = `, `domain = `.

    Return its fields, and what is wrong with it, if something is. Nothing is raised from here: this frame has seen it all.
    """
    if len(content) > _LIMIT:
        return {}, f"is larger than {_LIMIT} bytes"
    if not _is_text(content):
        return {}, "is not UTF-8"
    fields: dict[str, Secret] = {}
    for line in content.replace(b"\r", b"\n").split(b"\n"):
        key, equals, value = line.partition(b"=")
        name = key.strip().lower().decode()
        if equals and name in ("username", "password", "domain"):
            value = value.strip()
            if value:
                fields[name] = Secret(value)
            value[:] = bytes(len(value))
        line[:] = bytes(len(line))
    return fields, ""


def _is_text(content: str | bytearray) -> bool:
    """Say whether it is UTF-8. The exception that says no holds all of it, and stays here."""
    try:
        content.encode() if isinstance(content, str) else content.decode()
    except UnicodeError:
        return False
    return True


def _read(file: str, environment: Mapping[str, str], what: str = "the credentials file") -> bytearray:
    """Return up to one byte more than there may be; a bytearray, so that it can be overwritten."""
    descriptor = _open_closed(file, what, environment)
    buffer = bytearray(_LIMIT + 1)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        del buffer[stream.readinto(buffer) or 0 :]
    return buffer


def _check_closed(file: str, what: str, environment: Mapping[str, str]) -> None:
    os.close(_open_closed(file, what, environment))


def _open_closed(file: str, what: str, environment: Mapping[str, str]) -> int:
    """Open a file that nobody but we may read; return its descriptor. Raise SecretError."""
    try:
        # O_NONBLOCK: a FIFO in its place does not keep us.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretError(f"{what} {file} cannot be read: {error.strerror}", advice=_PUT_IT.get(what)) from None
    facts = os.fstat(descriptor)
    why = advice = ""
    if not stat.S_ISREG(facts.st_mode):
        why = "is not a regular file"
    elif facts.st_mode & 0o077 and not _is_systemds(file, facts, environment):
        why, advice = f"may be read by others (mode {stat.S_IMODE(facts.st_mode):04o})", _CLOSE_IT
    elif facts.st_uid not in (os.geteuid(), 0):
        why, advice = f"belongs to another user (uid {facts.st_uid})", _CLOSE_IT
    if why:
        os.close(descriptor)
        raise SecretError(f"{what} {file} {why}", advice=advice or None)
    return descriptor


def _is_systemds(file: str, facts: os.stat_result, environment: Mapping[str, str]) -> bool:
    """Say whether it is a file of systemd's, root's own, which an ACL opens to the service's user alone.

    Such an ACL shows as the right of the group to read (acl(5), the mask entry): mode 0440, group root.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    owner = (facts.st_uid, facts.st_gid) == (0, 0)
    return bool(folder) and owner and not facts.st_mode & 0o037 and os.path.dirname(file) == str(folder).rstrip("/")


def _expanded(path: str, environment: Mapping[str, str]) -> str:
    """Return a path, or `FILE:path`, with `$CREDENTIALS_DIRECTORY/` at its beginning replaced. Raise SecretError."""
    kind, colon, rest = path.partition(":")
    head, tail = (kind + colon, rest) if colon and not kind.startswith(("/", "$")) else ("", path)
    if not tail.startswith(_VARIABLE):
        return path
    if not (folder := environment.get("CREDENTIALS_DIRECTORY")):
        raise SecretError(
            f"{path} is configured, and systemd gave no $CREDENTIALS_DIRECTORY",
            advice="Let the unit have LoadCredential=, or name a file.",
        )
    return head + os.path.join(folder, tail.removeprefix(_VARIABLE))


def _file_of(ccache: str) -> str | None:
    """Return the file of a credential cache; None for one of another kind, whose rights the kernel or a daemon keeps."""
    kind, colon, rest = ccache.partition(":")
    if not ccache:
        return None
    return ccache if not colon or ccache.startswith("/") else rest if kind == "FILE" else None
