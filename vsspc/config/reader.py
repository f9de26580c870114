"""The configuration, read and checked as a whole: every problem of the file and of the options at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vsspc.config import layers, options, problems, source
from vsspc.config.host import HostConfig
from vsspc.config.layers import Layer
from vsspc.config.lines import Key, line_of, lines_of_keys
from vsspc.config.problems import Problem
from vsspc.config.tables import File, HostTable
from vsspc.core.errors import ConfigError
from vsspc.core.logon import LogonSettings
from vsspc.core.settings import HostSettings, RetryTuning
from vsspc.core.words import check_host_name

_DEEPEST = 12
_PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,253}")


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings of one host, and the layer that each one was set in; a key that is not there has its default."""

    table: HostTable
    origins: Mapping[Key, Layer]


class Config:
    """A configuration that was read and found good, with the options of the command line over it."""

    def __init__(self, path: Path, text: str, raw: Mapping[str, Any], file: File, over: Sequence[Layer]) -> None:
        self.path = path
        self.state_dir = file.state_dir
        self.log_file = file.log_file
        self._text = text
        self._raw = raw
        self._layers = layers.OfFile(raw)
        self._over = over

    def effective(self, host: str) -> Effective:
        """Return what applies to a host. Raise ConfigError for its name, and for settings that contradict each other."""
        found = self._layers.of(check_host_name(host)) + list(self._over)
        effective, wrong = _combined(found)
        if wrong:
            raise _error(self.path, _in_words(self._text, wrong)).at(host=host)
        return effective

    def host(self, name: str) -> HostConfig:
        """Return what applies to a host, as plain values. Raise ConfigError when its name or its settings cannot be used."""
        table = self.effective(name).table
        return HostConfig(
            state_dir=self.state_dir,
            log_file=self.log_file,
            bundle=table.bundle,
            rsync_password_file=table.rsync_password_file,
            history=table.history,
            logon=LogonSettings(
                host=(table.name or "*").replace("*", name),
                auth=table.auth,
                credentials_file=str(table.credentials_file),
                keyring=table.keyring,
                username=table.username,
                ccache=table.ccache,
                keytab=table.keytab,
                principal=table.principal,
            ),
            settings=HostSettings(
                host=name,
                volumes=tuple(one.volume for one in table.volumes),
                engine=table.engine,
                writers=table.writers,
                exclude_writers=tuple(one.lower() for one in table.exclude_writers),
                policy=table.policy,
                live=table.live,
                mapping=table.mapping,
                bundle_on_host=table.bundle_on_host,
                smb_port=table.smb_port,
                encrypt=table.encrypt,
                rsync_port=None if table.rsync_port == "auto" else table.rsync_port,
                rsync_user=table.rsync_user,
                firewall=table.firewall,
                restore=table.restore,
                restore_folder=table.restore_folder,
                shrink_warning=table.shrink_warning,
                max_ttl=table.max_ttl,
                idle_ttl=table.idle_ttl,
                pre_timeout=table.pre_timeout,
                post_timeout=table.post_timeout,
                teardown_reserve=table.teardown_reserve,
                teardown_fails_post=table.teardown_failure == "fail",
                timeouts=dict(table.timeouts),
                retry={name: RetryTuning(tuned.attempts, tuned.wait, tuned.cap) for name, tuned in table.retry},
            ),
        )

    def top(self) -> dict[str, Path]:
        """Return the keys of the file that are of no host."""
        return {"state_dir": self.state_dir, "log_file": self.log_file}

    def hosts(self) -> list[str]:
        """Return the names and patterns of hosts in the file."""
        return list(self._raw.get("host", {}))

    def lines(self) -> dict[Key, int]:
        """Return the line of each key in the file."""
        return lines_of_keys(self._text)


def load(path: Path, sets: Sequence[str] = ()) -> Config:
    """Read and check the file, and the `--set` options for it. Raise ConfigError that names every problem."""
    return loaded(path, source.content(path), sets)


def loaded(path: Path, content: bytes, sets: Sequence[str] = ()) -> Config:
    """Check what was in the file, likewise."""
    config, found = _checked(path, content, sets)
    if config is None:
        raise _error(path, found)
    return config


def read(path: Path) -> tuple[Config | None, list[str]]:
    """Return the configuration, or None and what is wrong, in words. Raise ConfigError for a file that is no TOML."""
    return _checked(path, source.content(path), ())


def _checked(path: Path, content: bytes, sets: Sequence[str]) -> tuple[Config | None, list[str]]:
    text, raw = _parsed(path, content)
    wrong = _check_file(raw)
    over = []
    for option in sets:
        try:
            layer = options.layer(option)
            HostTable.model_validate(layer.values)
            over.append(layer)
        except ValidationError as error:
            wrong += problems.of_validation(error, HostTable, options.shown(option))
        except ValueError as error:
            wrong.append(Problem((), str(error), options.shown(option)))
    if wrong:
        return None, _in_words(text, wrong)
    return Config(path, text, raw, File.model_validate(raw), over), []


def _in_words(text: str, wrong: Sequence[Problem]) -> list[str]:
    """Return each problem in words, once, in the order of the file; the options come last."""
    lines = lines_of_keys(text) if any(not one.option for one in wrong) else {}
    found = sorted((one.option != "", line_of(one.key, lines), one.words(line_of(one.key, lines))) for one in wrong)
    return list(dict.fromkeys(words for _, _, words in found))


def _error(path: Path, found: Sequence[str]) -> ConfigError:
    of_file = not all(one.startswith("--set ") for one in found)
    return ConfigError((f"{path}: " if of_file else "") + "; ".join(found))


def _parsed(path: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = content.decode("utf-8")
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError; a number of 5000 digits
        raise ConfigError(f"{path} is not TOML: {error}") from None
    if _is_deeper(raw, _DEEPEST):
        raise ConfigError(f"{path} has tables within tables, more than {_DEEPEST} deep")
    return text, raw


def _is_deeper(raw: Mapping[str, Any], depth: int) -> bool:
    """Say whether there are tables in tables deeper than that. (Keys with dots make them as deep as they are long.)"""
    below: list[Any] = [raw]
    for _ in range(depth):
        below = [one for table in below for one in (table.values() if isinstance(table, dict) else table)]
        below = [one for one in below if isinstance(one, (dict, list))]
    return bool(below)


def _check_file(raw: Mapping[str, Any]) -> list[Problem]:
    """Check every key, then the combinations of those that are good, in every table over the ones that count with it."""
    wrong = []
    try:
        File.model_validate(raw)
    except ValidationError as error:
        wrong = problems.of_validation(error, File)
    sound = layers.without(raw, [one.key for one in wrong])
    doubtful = {one.key[2:] if one.key[:1] == ("host",) else one.key[1:] for one in wrong}
    hosts, of_file = sound.get("host", {}), layers.OfFile(sound)
    wrong += problems.of_names(hosts, _usable)
    for found in [of_file.defaults(), *(of_file.of(name) for name in hosts)]:
        wrong += _combined(found, doubtful)[1]
    return wrong


def _combined(found: list[Layer], doubtful: Collection[Key] = ()) -> tuple[Effective, list[Problem]]:
    """Put good layers over each other; return also what they contradict each other in, but for `doubtful` keys."""
    merged = layers.merged(found)
    table = HostTable.model_validate(layers.nested({key: value for key, (value, _) in merged.items()}))
    effective = Effective(table, {key: layer for key, (_, layer) in merged.items()})
    return effective, problems.of_combination(table, effective.origins, found, doubtful)


def _usable(name: str) -> bool:
    if layers.is_pattern(name):
        return _PATTERN.fullmatch(name) is not None
    try:
        return check_host_name(name) == name
    except ConfigError:
        return False
