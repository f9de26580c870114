"""What the administrator keeps on this server: the bundle of Windows programs. Secrets: vsspc.adapters.credentials."""

from __future__ import annotations

import re
from pathlib import Path

from vsspc.core.errors import BundleIncomplete
from vsspc.core.settings import Bundle

_BUNDLE_FILE_LIMIT = 64 * 1024 * 1024
_BUNDLE_FILE = re.compile(r"(?:rsync|vshadow|dosdev)\.exe|cyg[A-Za-z0-9_.+-]{1,60}\.dll", re.IGNORECASE)


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
