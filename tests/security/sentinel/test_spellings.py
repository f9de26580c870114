"""The spellings of a secret: whatever wrote it down, it is found; and nothing is found in what does not have it."""

from __future__ import annotations

import base64
import binascii
import json
import random
import secrets
from collections.abc import Callable
from urllib.parse import quote

import pytest

from .spellings import key, make_password, password

PASSWORD = make_password()
WRITERS: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: text.encode(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "JSON": lambda text: json.dumps({"x": text}).encode(),
    "a JSON of hex": lambda text: json.dumps(text.encode("utf-16-le").hex()).encode(),
    "hexdump": lambda text: binascii.hexlify(text.encode("utf-16-le"), " "),
    "URL": lambda text: quote(f"https://user:{text}@host/", safe=":/@").encode(),
    "repr of bytes": lambda text: repr(text.encode("utf-16-le")).encode(),
    "EncodedCommand": lambda text: base64.b64encode(f"net use x: {text}".encode("utf-16-le")),
    "basic authentication": lambda text: base64.b64encode(f"backup:{text}".encode()),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(f"bac:{text}".encode()),
    "OEM code page": lambda text: text.encode("cp850"),
    "cut short": lambda text: text[12:-4].encode(),
    "in a shell's quotes": lambda text: text.replace("&", "\\&").encode(),
    "in cmd's quotes": lambda text: text.replace("&", "^&").replace("<", "^<").encode("utf-16-le"),
    "upper case": lambda text: text.upper().encode(),
    "backwards": lambda text: text[::-1].encode(),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_password_is_found_however_it_was_written(writer: str) -> None:
    before, after = secrets.token_bytes(random.randrange(40)), secrets.token_bytes(40)
    assert password("it", PASSWORD).in_(before + WRITERS[writer](PASSWORD) + after)


def test_its_nt_hash_is_found_too() -> None:
    known = password("it", "password")  # the best known of all NT hashes
    assert known.in_(b"backup:1001:NO LM:8846F7EAEE8FB117AD06BDD830B7586C:::")
    assert known.in_(bytes.fromhex("ff8846f7eaee8fb117ad06bdd830b7586cff"))


@pytest.mark.parametrize("shift", range(3))
def test_a_key_is_found_in_any_file_that_has_it(shift: int) -> None:
    content = secrets.token_bytes(32)
    for one in (bytes(shift) + content + b"x", base64.b64encode(bytes(shift) + content + b"x"), content.hex().encode()):
        assert key("it", content).in_(one)


def test_nothing_else_is_found() -> None:
    other = password("it", make_password())
    assert not any(other.in_(writer(PASSWORD)) for writer in WRITERS.values())
    assert not other.in_(secrets.token_bytes(1 << 20))
    assert all(len(spelling) >= 8 for _, spelling in other.spellings)
