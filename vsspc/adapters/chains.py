"""Chains of SMB requests: each begins with the creation of a handle and closes it, in one packet; several are under way at once.

A chain costs one round trip, and so do many that are sent before the first answer is awaited. What bounds them are the
credits that the host has granted ([MS-SMB2] 3.3.1.2), and the bytes that wait for an answer.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smbprotocol.exceptions import SMBException

from vsspc.adapters.foreign import status_of

Message = tuple[Any, Callable[[Any], Any]]
"""A request of smbprotocol's that was not sent yet, and what makes its answer of it (`send=False`)."""

#: Credits that stay aside: a request that has to be sent alone (a closing, a goodbye) never waits for another's answer.
_ASIDE: Final = 4


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that was sent: the handle that it opens, and its requests with what receives each answer."""

    opened: Any
    requests: Sequence[tuple[Any, Callable[[Any], Any]]]


class Chains:
    """The chains on one share. Exceptions are smbprotocol's."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._session = tree.session
        self._connection = tree.session.connection

    @property
    def credits(self) -> int:
        """How many credits a chain may use now."""
        window = self._connection.sequence_window
        return int(window["high"] - window["low"] - _ASIDE)

    def send(self, opened: Any, messages: Sequence[Message]) -> Chain:
        """Send a chain that begins with the creation of `opened`, and closes it."""
        return self._send(opened, [*messages, opened.close(False, send=False)])

    def open(self, opened: Any, messages: Sequence[Message], tolerated: frozenset[int] = frozenset()) -> list[Any]:
        """Send a chain that begins with the creation of `opened`, and leaves it open; return the answers as `answers` does.

        After a failure it is closed.
        """
        chain = self._send(opened, messages)
        answers: list[Any] = []
        for request, receive in chain.requests:
            try:
                answers.append(receive(request))
            except SMBException as exc:
                if answers and status_of(exc) in tolerated:
                    answers.append(None)
                    continue
                if answers:
                    self._close_again(opened)
                raise
        return answers

    def _send(self, opened: Any, chain: Sequence[Message]) -> Chain:
        requests = self._connection.send_compound(
            [message for message, _ in chain], self._session.session_id, self._tree.tree_connect_id, related=True
        )
        return Chain(opened, [(request, receive) for request, (_, receive) in zip(requests, chain, strict=True)])

    def send_one(self, message: Any) -> Any:
        """Send a single request."""
        return self._connection.send(message, self._session.session_id, self._tree.tree_connect_id)

    def close_unawaited(self, opened: Any) -> None:
        """Close a handle, without waiting for the answer: nothing depends on it but the end of what has it open."""
        message, _ = opened.close(False, send=False)
        self.send_one(message)

    def answers(self, chain: Chain, tolerated: frozenset[int] = frozenset()) -> list[Any]:
        """Return the answers of a chain, None for what ended, after the creation, with a status that is tolerated.

        Raise the first failure. A server may answer the closing with the failure of the message before it and leave the handle open
        ([MS-SMB2] 3.3.5.2.7.2); it is then closed by a message of its own.
        """
        answers: list[Any] = []
        failure: SMBException | None = None
        created = closed = True
        for request, receive in chain.requests:
            try:
                answers.append(receive(request))
                closed = True
            except SMBException as exc:
                status = status_of(exc)
                if status is None:
                    raise
                created = created and bool(answers)  # the first message is the creation
                closed = False
                if not created or status not in tolerated:
                    failure = failure or exc
                answers.append(None)
        if created and not closed:
            self._close_again(chain.opened)
        if failure is not None:
            raise failure
        return answers

    def run(self, opened: Any, messages: Sequence[Message], tolerated: frozenset[int] = frozenset()) -> list[Any]:
        """Send a chain, and return its answers."""
        return self.answers(self.send(opened, messages), tolerated)

    def together(
        self, chains: Iterable[tuple[Any, Sequence[Message]]], tolerated: frozenset[int] = frozenset()
    ) -> list[list[Any] | SMBException]:
        """Send chains that do not depend on each other, without waiting between; return the outcome of each, in order."""
        outcomes: list[list[Any] | SMBException] = []
        under_way: deque[Chain] = deque()
        for opened, messages in chains:
            while under_way and self.credits <= len(messages):
                outcomes.append(self._outcome(under_way.popleft(), tolerated))
            under_way.append(self.send(opened, messages))
        outcomes += [self._outcome(chain, tolerated) for chain in under_way]
        return outcomes

    def _outcome(self, chain: Chain, tolerated: frozenset[int]) -> list[Any] | SMBException:
        try:
            return self.answers(chain, tolerated)
        except SMBException as exc:
            if status_of(exc) is None:
                raise
            return exc

    def _close_again(self, opened: Any) -> None:
        message, receive = opened.close(False, send=False)
        with contextlib.suppress(SMBException):
            receive(self.send_one(message))
