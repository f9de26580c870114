"""Drive letters: which are free, and what the job `map` says."""

from __future__ import annotations

from vsspc.core.errors import MappingConflict, VsspcError
from vsspc.windows import scripts
from vsspc.windows.answers.console import tail


def map_failure(code: int, output: bytes, way: scripts.Way) -> VsspcError:
    """Return the error for a failed job `map` that maps in this way."""
    if code == scripts.NOT_MAPPED and way is scripts.Way.LINK:
        return MappingConflict(
            "the shadow copy is not seen through the directory link on its volume",
            advice='Free a drive letter on the host, and let `mapping` be "auto".',
        )
    if code == scripts.NOT_MAPPED:
        return MappingConflict("the shadow copy is not seen where it was mapped: another definition hides it")
    return MappingConflict(f"the shadow copy could not be mapped (exit code {code}): {tail(output)}")


def free_letters(used: frozenset[str], wanted: int) -> list[str]:
    """Return that many drive letters that are not in use. Raise MappingConflict.

    B first, as BackupPC's admins have known it since 2008; X, Y and Z last, since logon scripts like them; A never.
    """
    free = [f"{letter}:" for letter in "BWVUTSRQPONMLKJIHGFEDZYX" if letter not in used]
    if len(free) < wanted:
        raise MappingConflict(f"the host has {len(free)} free drive letters, {wanted} are needed")
    return free[:wanted]
