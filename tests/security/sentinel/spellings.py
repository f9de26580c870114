"""Secrets that cannot be mistaken, and every way in which one may be spelled where it must not be.

A sentinel is a password with a core of random letters and digits, and around it what each encoding writes in its own way
(`é`, `&`, `+`, `/`, `%`, `<`). Both the whole of it and the core alone are looked for: what cuts, escapes or quotes the
one still shows the other.
"""

from __future__ import annotations

import base64
import html
import json
import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from spnego._ntlm_raw.crypto import ntowfv1

_ALPHABET = string.ascii_letters + string.digits
SHORTEST = 8
"""Bytes of the shortest spelling that is looked for: shorter ones would be found by chance."""


def make_password() -> str:
    """Return a password that no other run, and nothing else on this machine, has."""
    core = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return f"Sentinel-é&<%{core}+/~="


@dataclass(frozen=True)
class Sentinel:
    """A secret: its name for people, and each of its spellings, with their own names."""

    name: str
    spellings: tuple[tuple[str, bytes], ...]

    def in_(self, content: bytes) -> str | None:
        """Return the name of a spelling that is in there, None when there is none."""
        return next((name for name, spelling in self.spellings if spelling in content), None)


def password(name: str, text: str) -> Sentinel:
    """Return a password as a sentinel, its NT hash included ([MS-NLMP] 3.3.1: MD4 of its UTF-16LE)."""
    spellings = dict(_of_text("", text))
    core = max("".join(char if char in _ALPHABET else " " for char in text).split(), key=len)
    if core != text:
        spellings |= dict(_of_text("core, ", core))
    spellings |= dict(_of_bytes("NT hash", ntowfv1(text)))
    return _sentinel(name, spellings)


def key(name: str, content: bytes) -> Sentinel:
    """Return a key (any bytes) as a sentinel."""
    return _sentinel(name, dict(_of_bytes("key", content)))


def _sentinel(name: str, spellings: dict[str, bytes]) -> Sentinel:
    """Keep the spellings that no other one is a part of: whoever finds that finds them."""
    kept: dict[bytes, str] = {}
    for how, what in sorted(spellings.items(), key=lambda one: len(one[1])):
        if len(what) >= SHORTEST and not any(shorter in what for shorter in kept):
            kept[what] = how
    return Sentinel(name, tuple((how, what) for what, how in kept.items()))


def _of_text(prefix: str, text: str) -> Iterator[tuple[str, bytes]]:
    plain = text.encode()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1", "cp850", "cp1252"):
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield from _of_bytes(prefix + encoding, raw)
    yield f"{prefix}upper case", text.upper().encode()
    yield f"{prefix}lower case", text.lower().encode()
    yield f"{prefix}backwards", text[::-1].encode()
    yield f"{prefix}URL", quote(text, safe="").encode()
    yield f"{prefix}URL path", quote(text).encode()
    yield f"{prefix}form", quote_plus(text).encode()
    yield f"{prefix}URL, every byte", "".join(f"%{byte:02X}" for byte in plain).encode()
    yield f"{prefix}JSON", json.dumps(text)[1:-1].encode()
    yield f"{prefix}HTML", html.escape(text).encode()
    yield f"{prefix}Python", ascii(text)[1:-1].encode()
    yield f"{prefix}Python bytes", repr(plain)[2:-1].encode()
    yield f"{prefix}Python UTF-16", repr(text.encode("utf-16-le"))[2:-1].encode()


def _of_bytes(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, raw
    for separator in ("", " ", ":", "-", ", ", r"\x", "%"):
        text = separator.join(f"{byte:02x}" for byte in raw)
        yield f"{name}, hex{separator and f' by {separator!r}'}", text.encode()
        yield f"{name}, HEX{separator and f' by {separator!r}'}", separator.join(f"{byte:02X}" for byte in raw).encode()
    for shift in range(3):
        piece = _base64(raw, shift)
        yield f"{name}, base64+{shift}", piece
        yield f"{name}, base64url+{shift}", piece.replace(b"+", b"-").replace(b"/", b"_")


def _base64(raw: bytes, shift: int) -> bytes:
    """Return what is always the same in the base64 of anything that has this after 3n + `shift` bytes."""
    text = base64.b64encode(bytes(shift) + raw)
    first = (0, 2, 3)[shift]
    last = (shift + len(raw)) * 8 // 6
    return text[first:last]
