"""How VSS's own programs write a moment and a shadow copy's attributes."""

from __future__ import annotations

from datetime import datetime

from vsspc.lab.languages import Language
from vsspc.lab.shadows import ShadowCopy


def moment(clock: datetime, language: Language) -> str:
    """Return date and time as the system's locale has them: `4/10/2024 12:50:30 AM`, `10.04.2024 00:50:30`."""
    if language.moment:
        return clock.strftime(language.moment)
    half = "AM" if clock.hour < 12 else "PM"
    return f"{clock.month}/{clock.day}/{clock.year} {clock.hour % 12 or 12}:{clock:%M:%S} {half}"


def attributes(copy: ShadowCopy) -> list[str]:
    """Return the attributes as vshadow and diskshadow name them, in their order."""
    words = ["No_Auto_Release", "Persistent"] if copy.context.persistent else ["Auto_Release"]
    words += ["Client_accessible"] if copy.context.client_accessible else []
    words += [] if copy.context.writers else ["No_Writers"]
    return [*words, "Differential"]
