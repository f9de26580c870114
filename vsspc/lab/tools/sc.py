"""sc.exe: stop and delete services. Its exit codes are the Win32 errors of the service manager's answers."""

from __future__ import annotations

from vsspc.lab.services import ServiceError, Win32
from vsspc.lab.tools import Call


async def sc(call: Call) -> int:
    """`sc stop NAME` (returns before the service has stopped) and `sc delete NAME`."""
    verb, name = ([word.lower() for word in call.arguments] + ["", ""])[:2]
    if verb not in ("stop", "delete") or not name or len(call.arguments) != 2:
        call.out("DESCRIPTION:\r\n        SC is a command line program used for communicating with the\r\n        Service Control Manager.")
        return Win32.INVALID_PARAMETER
    manager = call.site.services
    try:
        service = manager.open(name)
    except ServiceError as error:
        call.out(f"[SC] OpenService FAILED {int(error.code)}:\r\n")
        return error.code
    try:
        (manager.stop if verb == "stop" else manager.delete)(service)
    except ServiceError as error:
        call.out(f"[SC] {'ControlService' if verb == 'stop' else 'DeleteService'} FAILED {int(error.code)}:\r\n")
        return error.code
    finally:
        manager.close(service)
    call.out("[SC] DeleteService SUCCESS" if verb == "delete" else f"\r\nSERVICE_NAME: {name}")
    return 0
