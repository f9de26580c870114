"""The drawing of the packages: what imports what, read off the sources by grimp (which import-linter brings)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

import grimp

from tests.docs.generate.svg import Box, arrow, picture
from vsspc.cli import COMMANDS

_WIDTH, _BOX, _HEIGHT, _ROW = 1000, 118, 40, 92


def drawing() -> str:
    """Return the packages and modules right below `vsspc`, each row importing only from rows below it.

    An import that follows from others on the way down is left out.
    """
    imports = _imports()
    shown = _reduced(imports)
    rows = _rows(imports)
    boxes: dict[str, Box] = {}
    for number, names in enumerate(rows):
        room = _WIDTH // len(names)
        for place, name in enumerate(_ordered(names, shown, boxes)):
            left = room * place + (room - _BOX) // 2
            boxes[name] = Box(name, left, 24 + _ROW * number, _BOX, _HEIGHT)
    arrows = [
        arrow([(boxes[name].middle, boxes[name].bottom), (boxes[other].middle, boxes[other].top)], f"{name} imports {other}")
        for name in sorted(shown)
        for other in sorted(shown[name])
    ]
    title = "What imports what in vsspc"
    return picture(_WIDTH, 48 + _ROW * (len(rows) - 1) + _HEIGHT, title, [*arrows, *(box.drawn() for box in boxes.values())])


def _imports() -> dict[str, set[str]]:
    """Return what each package or module right below `vsspc` imports of the others, as the program runs.

    The command line imports its commands by name, when they are asked for.
    """
    graph = grimp.build_graph("vsspc", exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = {child.split(".")[1]: set() for child in graph.find_children("vsspc")}
    for module in sorted(graph.modules - {"vsspc"}):
        name = module.split(".")[1]
        others = {other.split(".")[1] for other in graph.find_modules_directly_imported_by(module) if "." in other}
        found[name] |= others - {name}
    found["cli"] |= {module.split(".")[1] for module in COMMANDS.values()}
    return found


def _reduced(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out what follows: a to c, where a imports b, and b imports c, at any remove."""
    reach: dict[str, set[str]] = {}
    for name in TopologicalSorter(imports).static_order():
        reach[name] = set().union(*({other} | reach[other] for other in imports[name]))
    return {
        name: {one for one in others if not any(one in reach[other] for other in others - {one})}
        for name, others in imports.items()
    }


def _rows(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the names row by row: each right below the lowest of those that import it."""
    depth = dict.fromkeys(imports, 0)
    for name in reversed(list(TopologicalSorter(imports).static_order())):
        for other in imports[name]:
            depth[other] = max(depth[other], depth[name] + 1)
    return [sorted(name for name, one in depth.items() if one == row) for row in range(max(depth.values()) + 1)]


def _ordered(names: Iterable[str], shown: Mapping[str, set[str]], above: Mapping[str, Box]) -> list[str]:
    """Put a row's names below those that import them, as far as that goes: fewer arrows cross."""

    def wanted(name: str) -> tuple[float, str]:
        places = [box.middle for importer, box in above.items() if name in shown[importer]]
        return (sum(places) / len(places) if places else _WIDTH / 2, name)

    return sorted(names, key=wanted)
