"""Secrets: text that no message, log line, traceback or debugger's view shows by accident, and that can be forgotten."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from vsspc.core.errors import InternalError

_MASK: Final = "***"


class Secret:
    """A text that is only to be had by asking for it (`reveal`). It prints, formats and represents itself as `***`.

    It is kept as bytes that `wipe` can overwrite. What `reveal` returns is a Python text, which nothing can overwrite: it is
    gone when the last who holds it lets go, and its memory was used again. So it is handed over, and never kept.
    """

    __slots__ = ("__bytes", "__wiped")

    def __init__(self, text: str | bytes | bytearray) -> None:
        """Take the text, or its UTF-8."""
        self.__bytes = bytearray(text.encode() if isinstance(text, str) else text)
        self.__wiped = False

    def reveal(self) -> str:
        """Return the text. Call this only where it is handed over to what needs it."""
        if self.__wiped:
            raise InternalError("a secret was asked for after it was wiped")
        return self.__bytes.decode()

    def wipe(self) -> None:
        """Overwrite the text; from now on it cannot be had. May be called twice."""
        self.__bytes[:] = bytes(len(self.__bytes))
        self.__wiped = True

    def __str__(self) -> str:
        return _MASK

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(other.__bytes, self.__bytes)

    def __hash__(self) -> int:
        return hash((Secret, bytes(self.__bytes)))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not to be pickled or copied")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account of a Windows host. `domain` is empty for a local account, or when `username` carries it itself."""

    username: str
    password: Secret = field(repr=False)
    domain: str = ""

    @property
    def account(self) -> str:
        """The account's full name: `DOMAIN\\user`, or the user name as it is when there is no domain to add."""
        # "." is Windows' own shorthand for "this machine"; on the wire an absent domain says the same.
        plain = self.domain in ("", ".") or "\\" in self.username or "@" in self.username
        return self.username if plain else f"{self.domain}\\{self.username}"
