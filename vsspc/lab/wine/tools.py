"""Takes the stand-ins' calls: the tool protocol of vsspc.lab.toolsocket, over TCP since a Windows program has no other."""

from __future__ import annotations

import asyncio
import json
import secrets

from vsspc.lab.toolsocket import Programs


class Tools:
    """Listens on 127.0.0.1 for programs that know the key."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._key = secrets.token_hex(16)
        self._port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Listen; return what the stand-ins need to know (see standin.c).

        The same each time: after a restart services get what stood in the registry before it.
        """
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"{self._port} {self._key}"

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            call = json.loads(await reader.readline())
            if secrets.compare_digest(str(call.pop("key", "")), self._key):
                await self._programs.request(call, reader, writer)
        except (ConnectionError, ValueError) as error:
            self._programs.site.windows.events.log("tool-socket-error", error=repr(error))
        finally:
            writer.close()
