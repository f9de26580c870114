"""netsh advfirewall firewall add|delete|show rule."""

from __future__ import annotations

from vsspc.lab.model import FirewallRule
from vsspc.lab.tools import Call

KNOWN = frozenset(
    ("name", "dir", "action", "protocol", "localport", "remoteip", "localip", "profile", "program", "enable", "description")
)
NONE = "\r\nNo rules match the specified criteria.\r\n"


async def netsh(call: Call) -> int:
    """Play netsh: names need not be unique, `delete` and `show` of a name that nobody has give exit code 1."""
    words = list(call.arguments)
    if [word.lower() for word in words[:2]] != ["advfirewall", "firewall"] or len(words) < 4:
        call.out("The following command was not found: " + " ".join(words) + ".")
        return 1
    verb, noun = words[2].lower(), words[3].lower()
    fields: dict[str, str] = {}
    for word in words[4:]:
        key, equals, value = word.partition("=")
        if not equals or key.lower() not in KNOWN or not value:
            call.out(f"\r\nA specified value is not valid: {word}\r\n")
            return 1
        fields[key.lower()] = value
    if noun != "rule" or verb not in ("add", "delete", "show") or "name" not in fields:
        call.out("\r\nThe syntax supplied for this command is not valid. Check help for the correct syntax.\r\n")
        return 1
    name = fields.pop("name")
    windows = call.windows
    if verb == "add":
        if "dir" not in fields or "action" not in fields:
            call.out("\r\nOne or more essential parameters were not entered.\r\n")
            return 1
        windows.rules.append(FirewallRule(name, fields))
        windows.events.log("firewall-add", name=name, **fields)
        call.out("Ok.\r\n")
        return 0
    found = [rule for rule in windows.rules if rule.name.lower() == name.lower()]
    if not found:
        call.out(NONE)
        return 1
    if verb == "show":
        for rule in found:
            call.out(f"\r\nRule Name:                            {rule.name}")
            call.out("----------------------------------------------------------------------")
            call.out("Enabled:                              Yes")
            for key, value in rule.fields.items():
                call.out(f"{key.capitalize() + ':':<38}{value}")
        call.out("Ok.\r\n")
        return 0
    windows.rules[:] = [rule for rule in windows.rules if rule not in found]
    windows.events.log("firewall-delete", name=name, count=len(found))
    call.out(f"\r\nDeleted {len(found)} rule(s).\r\nOk.\r\n")
    return 0
