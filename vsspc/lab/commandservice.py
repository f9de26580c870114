"""A command line in the place of a service's program, as impacket's smbexec makes one.

The program never answers the service manager, which takes it for failed once it has ended, or after 30 s (Microsoft,
"Service startup": ERROR_SERVICE_REQUEST_TIMEOUT); what it did, it did.
"""

from __future__ import annotations

import asyncio

from vsspc.lab.launch import Launch, Launcher, LaunchError
from vsspc.lab.services import Service

PATIENCE = 30.0
"""Seconds (Microsoft, "ServicesPipeTimeout")."""


class CommandService:
    """A service whose program is cmd.exe: it runs, and is no service."""

    def __init__(self, service: Service, launcher: Launcher) -> None:
        self._service = service
        self._launcher = launcher

    async def start(self) -> None:
        """Run the command as LocalSystem, to its end. Always raise OSError."""
        executable, _, arguments = self._service.binary_path.strip().partition(" ")
        try:
            pid = await self._launcher.launch(Launch(executable="cmd.exe", arguments=arguments, account="SYSTEM"))
        except LaunchError as error:
            raise OSError(str(error)) from error
        try:
            async with asyncio.timeout(PATIENCE):
                await self._launcher.wait(pid)
        except TimeoutError:
            pass  # it goes on; nobody waits for it any more
        raise OSError(f"{executable} does not speak to the service manager")

    def stop(self) -> None:
        """Do nothing: it never ran as a service."""

    def kill(self) -> None:
        """Do nothing."""
