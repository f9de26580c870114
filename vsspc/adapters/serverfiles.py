"""What the administrator keeps on this server: credentials, a fixed rsync password, the bundle of Windows programs."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from vsspc.core.errors import BundleIncomplete, SecretError
from vsspc.core.secret import Credentials, Secret
from vsspc.core.settings import Bundle

_CREDENTIALS_LIMIT = 16 * 1024
_BUNDLE_FILE_LIMIT = 64 * 1024 * 1024
_BUNDLE_FILE = re.compile(r"(?:rsync|vshadow|dosdev)\.exe|cyg[A-Za-z0-9_.+-]{1,60}\.dll", re.IGNORECASE)


def credentials(file: Path, environment: Mapping[str, str]) -> Credentials:
    """Return the account for the hosts: from systemd's $CREDENTIALS_DIRECTORY (a credential named `vsspc`), else from
    VSSPC_USERNAME, VSSPC_PASSWORD and VSSPC_DOMAIN, else from the file.

    Raise SecretError when there is none, when it is malformed or when others may read the file.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / "vsspc").exists():
        return _parse(_read(Path(folder) / "vsspc"), Path(folder) / "vsspc")
    if "VSSPC_USERNAME" in environment:
        if not environment.get("VSSPC_PASSWORD"):
            raise SecretError("VSSPC_USERNAME is set, VSSPC_PASSWORD is not")
        return Credentials(
            environment["VSSPC_USERNAME"], Secret(environment["VSSPC_PASSWORD"]), environment.get("VSSPC_DOMAIN", "")
        )
    return _parse(_read(file), file)


def rsync_password(file: Path) -> Secret:
    """Return the password in a file that holds it alone on its one line (an end of line more is fine).

    Raise SecretError when there is none, or when others may read the file.
    """
    try:
        lines = _read(file, "the password file").splitlines()
        if len(lines) != 1 or not lines[0]:
            raise SecretError(f"the password file {file} does not hold one line")
    except SecretError as error:
        advice = "Give rsync_password_file one line with the password, owned by the backup user, mode 0600."
        raise SecretError(error.message, advice=advice) from None
    return Secret(lines[0])


def _read(file: Path, what: str = "the credentials file") -> str:
    # O_NONBLOCK: a FIFO answers at once.
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretError(f"{what} {file} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise SecretError(f"{what} {file} is not a regular file")
        if facts.st_mode & 0o077:
            mode = stat.S_IMODE(facts.st_mode)
            raise SecretError(f"{what} {file} may be read by others (mode {mode:04o})")
        if facts.st_uid not in (os.geteuid(), 0):
            raise SecretError(f"{what} {file} belongs to another user (uid {facts.st_uid})")
        content = stream.read(_CREDENTIALS_LIMIT)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{what} {file} is not UTF-8") from None


def _parse(text: str, file: Path) -> Credentials:
    """Read smbclient's form (smbclient(1), --authentication-file): `username = `, `password = `, `domain = `."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            fields[key.strip().lower()] = value.strip()
    missing = [name for name in ("username", "password") if not fields.get(name)]
    if missing:
        raise SecretError(f"the credentials file {file} has no {' and no '.join(missing)}")
    return Credentials(fields["username"], Secret(fields["password"]), fields.get("domain", ""))


def bundle(folder: Path) -> Bundle:
    """Return the bundle: rsync.exe with its cyg*.dll, vshadow.exe, perhaps dosdev.exe; other files are left out.

    Raise BundleIncomplete when the folder or a file cannot be read.
    """
    files: dict[str, bytes] = {}
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_file() and _BUNDLE_FILE.fullmatch(entry.name):
                with open(entry, "rb") as stream:
                    content = stream.read(_BUNDLE_FILE_LIMIT + 1)
                if len(content) > _BUNDLE_FILE_LIMIT:
                    raise BundleIncomplete(f"{entry} is too large to be one of the bundle's programs")
                files[entry.name.lower()] = content
    except OSError as error:
        raise BundleIncomplete(f"the bundle {folder} cannot be read: {error.strerror}") from None
    return Bundle(files)
