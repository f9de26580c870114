"""Secrets: text that no message, log line, traceback or debugger's view shows by accident."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_MASK: Final = "***"


class Secret:
    """A text that is only to be had by asking for it (`reveal`). It prints, formats and represents itself as `***`."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Return the text. Call this only where it is handed over to what needs it."""
        return self.__text

    def __str__(self) -> str:
        return _MASK

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.__text == self.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

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
