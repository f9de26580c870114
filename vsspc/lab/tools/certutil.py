"""certutil.exe: `certutil -hashfile FILE SHA256`, as it prints since Windows 10; as before that with `certutil-spaced`.

Texts: Microsoft, "certutil" (-hashfile), and public transcripts. An empty or missing file is an error.
"""

from __future__ import annotations

import hashlib

from vsspc.lab.tools import Call

NOT_FOUND = 0x80070002
"""HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND); for an empty file Windows says ERROR_FILE_INVALID (1006)."""
EMPTY = 0x800703EE


async def certutil(call: Call) -> int:
    """Print the hash without spaces."""
    return _hash_file(call, spaced=False)


async def spaced(call: Call) -> int:
    """Print the hash with a space between the bytes, as Windows 7 does."""
    return _hash_file(call, spaced=True)


def _hash_file(call: Call, *, spaced: bool) -> int:
    words = call.arguments
    if len(words) != 3 or words[0].lower() != "-hashfile" or words[2].upper() != "SHA256":
        call.out("vsspc lab: only certutil -hashfile FILE SHA256")
        return 1
    try:
        with open(call.local(words[1]), "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
            size = stream.tell()
    except OSError:
        call.out("CertUtil: -hashfile command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)")
        call.out("CertUtil: The system cannot find the file specified.")
        return NOT_FOUND
    if not size:
        call.out("CertUtil: -hashfile command FAILED: 0x800703ee (WIN32: 1006 ERROR_FILE_INVALID)")
        return EMPTY
    call.out(f"SHA256 hash of {words[1]}:")
    call.out(digest.hex(" ") if spaced else digest.hex())
    call.out("CertUtil: -hashfile command completed successfully.")
    return 0
