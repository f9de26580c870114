"""What is wrong with a configuration, in words: where it is, which key, and the key that was perhaps meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError

from vsspc.config import durations, toml
from vsspc.config.layers import Layer
from vsspc.config.lines import Key
from vsspc.config.tables import HostTable, VolumeTable

Location = tuple[int | str, ...]
_WITHIN: Mapping[str, type[BaseModel]] = {"host": HostTable, "volumes": VolumeTable}
"""The tables that are in a list, or under a name of their own."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One of them. `where` is the key, in the file or in the option that `option` shows; `line` is looked up later."""

    where: Location
    message: str
    option: str = ""

    @property
    def key(self) -> Key:
        """The key, without what is inside its value."""
        names = []
        for part in self.where:
            if isinstance(part, int):
                break
            names.append(part)
        return tuple(names)

    def words(self, line: int) -> str:
        """Return it as one line. `line` is where the key is in the file; an option has none."""
        return f"{self.option}: {self.message}" if self.option else f"line {line}: {toml.key(self.where)}: {self.message}"


def of_validation(error: ValidationError, model: type[BaseModel], option: str = "") -> list[Problem]:
    """Return what pydantic found in a table of `model`."""
    return [
        Problem(_place(one["loc"]), _message(one["type"], one["msg"], one["loc"], model), option) for one in error.errors()
    ]


def _place(location: Location) -> Location:
    """Leave out what pydantic adds for a key itself (`host.NAME.[key]`)."""
    return tuple(part for part in location if part != "[key]")


def _message(kind: str, message: str, location: Location, model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return "unknown key" + _meant(location, model)
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "must be a table"
    message = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return message[:1].lower() + message[1:]


def _meant(location: Location, model: type[BaseModel]) -> str:
    """Name the nearest key of the same table, else the nearest of another one."""
    name = str(location[-1])
    here = model
    for part in location[:-1]:
        if isinstance(part, str):  # else the index in a list, or the name of a host below
            here = _table(here, part) or here
    known = {one: one for one in here.model_fields}
    elsewhere = {key[-1]: ".".join(key) for key in reversed(list(_keys(model)))}
    for candidates in (known, elsewhere):
        if near := get_close_matches(name, candidates, n=1):
            return f" (did you mean {candidates[near[0]]}?)"
    return ""


def _table(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    if (field := model.model_fields.get(name)) is None:
        return None
    if name in _WITHIN:
        return _WITHIN[name]
    return field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) else None


def _keys(model: type[BaseModel], above: Key = ()) -> Iterator[Key]:
    for name in model.model_fields:
        below = _table(model, name)
        if below is None or name in _WITHIN:
            yield (*above, name)
        else:
            yield from _keys(below, (*above, name))


@dataclass(frozen=True, slots=True)
class _Rule:
    """A combination that cannot be meant, and what to say of it; `keys` are those that make it."""

    keys: tuple[Key, ...]
    broken: Callable[[HostTable], bool]
    words: Callable[[HostTable], str]


def _time(seconds: float) -> str:
    return str(durations.words(seconds))


def _twice(table: HostTable) -> str:
    seen: dict[str, str] = {}
    for volume in table.volumes:
        module = volume.volume.module
        if (other := seen.setdefault(module.lower(), volume.path)) != volume.path:
            return f"{other} and {volume.path} would both be the rsync module {module}"
        if sum(volume.path == one.path for one in table.volumes) > 1:
            return f"{volume.path} is named twice"
    return ""


def _retry_rule(name: str) -> _Rule:
    def pauses(table: HostTable) -> tuple[float, float]:
        tuned = getattr(table.retry, name)
        return tuned.wait, tuned.cap

    return _Rule(
        (("retry", name, "wait"), ("retry", name, "cap")),
        lambda table: pauses(table)[0] > pauses(table)[1],
        lambda table: "the first pause, wait = {}, is longer than cap = {}".format(*map(_time, pauses(table))),
    )


_RULES = (
    _Rule((("live",), ("policy",)), lambda t: t.live and t.policy != "prefer", lambda t: 'live needs policy = "prefer"'),
    _Rule(
        (("exclude_writers",), ("writers",)),
        lambda t: bool(t.exclude_writers) and not t.writers,
        lambda t: "exclude_writers needs writers = true",
    ),
    _Rule(
        (("writers",), ("engine",)),
        lambda t: t.writers and t.engine == "wmi",
        lambda t: 'engine = "wmi" makes shadow copies without writers: it cannot be had with writers = true',
    ),
    _Rule(
        (("teardown_reserve",), ("pre_timeout",)),
        lambda t: t.teardown_reserve >= t.pre_timeout,
        lambda t: f"pre_timeout = {_time(t.pre_timeout)} must be longer than teardown_reserve = {_time(t.teardown_reserve)}",
    ),
    _Rule(
        (("firewall",), ("rsync_port",)),
        lambda t: not t.firewall and t.rsync_port == "auto",
        lambda t: "firewall = false leaves the host's firewall to you: it needs a fixed rsync_port to be open there",
    ),
    _Rule(
        (("auth",), ("keytab",), ("ccache",), ("principal",)),
        lambda t: t.auth == "ntlm" and bool(t.keytab or t.ccache or t.principal),
        lambda t: 'auth = "ntlm" takes no tickets: it goes with none of keytab, ccache, principal',
    ),
    _Rule(
        (("keytab",), ("ccache",)),
        lambda t: bool(t.keytab and t.ccache),
        lambda t: 'tickets come from a keytab or from a ccache, not from both; "" takes one away',
    ),
    _Rule(
        (("keyring",), ("username",)),
        lambda t: bool(t.keyring) != bool(t.username),
        lambda t: "keyring and username go together: it has the password of that account",
    ),
    _Rule((("volumes",),), lambda t: bool(_twice(t)), _twice),
    *(_retry_rule(name) for name in ("connect", "snapshot", "release")),
)


def of_combination(
    table: HostTable, origins: Mapping[Key, Layer], order: list[Layer], doubtful: Collection[Key]
) -> list[Problem]:
    """Return the combinations in a host's settings that cannot be meant, each at the key that was set last.

    Those with a `doubtful` key are not looked at: what was wrong with that is told already.
    """
    found = []
    for rule in _RULES:
        if rule.broken(table) and not any(key[: len(one)] == one for key in rule.keys for one in doubtful):
            set_here = [key for key in rule.keys if key in origins]
            key = max(set_here, key=lambda one: order.index(origins[one]), default=rule.keys[0])
            layer = origins.get(key)
            option = layer.name if layer and not layer.place else ""
            found.append(Problem((*(layer.place if layer else ()), *key), rule.words(table), option))
    return found


def of_names(names: Iterable[str], usable: Callable[[str], bool]) -> list[Problem]:
    """Return the names of `[host."…"]` that no host can have."""
    message = "no host can have this name: use letters, digits, '.', '_', '-', and in a pattern '*', '?' and [sets]"
    return [Problem(("host", name), message) for name in names if not usable(name)]
