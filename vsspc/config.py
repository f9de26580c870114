"""The configuration file: TOML, `[defaults]`, then `[host."NAME"]` overriding single keys. Every problem at once.

Durations are written "90s", "10m", "2h", "1d", or as a number of seconds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vsspc.core.errors import ConfigError
from vsspc.core.settings import DEFAULT_RETRY, DEFAULT_TIMEOUTS, HostSettings, RetryTuning
from vsspc.core.words import Volume, check_address, check_host_name

DEFAULT_PATH = Path("/etc/vsspc/vsspc.toml")

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(value: object) -> object:
    """Given "90s", "10m", "2h", "1d" or a number, return seconds. Raise ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])", value.strip())
    if match is None:
        raise ValueError('write a duration like "90s", "10m", "2h" or "1d"')
    return float(match[1]) * _UNITS[match[2]]


Seconds = Annotated[float, BeforeValidator(duration), Field(gt=0, le=30 * 86400.0)]
Pause = Annotated[float, BeforeValidator(duration), Field(ge=0, le=3600.0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetryTable(_Table):
    """`retry.connect`, `retry.snapshot`, `retry.release`."""

    attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    wait: Pause | None = None
    cap: Pause | None = None


class RetryTables(_Table):
    connect: RetryTable = RetryTable()
    snapshot: RetryTable = RetryTable()
    release: RetryTable = RetryTable()


class TimeoutTable(_Table):
    """One for each step, and `connect` for each attempt to open a session."""

    connect: Seconds = DEFAULT_TIMEOUTS["connect"]
    cleanup: Seconds = DEFAULT_TIMEOUTS["cleanup"]
    snapshot: Seconds = DEFAULT_TIMEOUTS["snapshot"]
    map: Seconds = DEFAULT_TIMEOUTS["map"]
    rsyncd_up: Seconds = DEFAULT_TIMEOUTS["rsyncd_up"]


class HostTable(_Table):
    """The keys of `[defaults]`, and of each `[host."NAME"]`."""

    credentials_file: Path = Path("/etc/vsspc/credentials")
    bundle: Path = Path("/etc/vsspc/bundle")
    volumes: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z]:$")]], Field(min_length=1, max_length=20)] = ["C:"]
    engine: Literal["vshadow"] = "vshadow"
    smb_port: Annotated[int, Field(ge=1, le=65535)] = 445
    encrypt: bool = True
    rsync_port: Annotated[int, Field(ge=1, le=65535)] = 10873
    rsync_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")] = "backuppc"
    firewall: bool = True
    max_ttl: Seconds = 24 * 3600.0
    idle_ttl: Seconds = 3600.0
    pre_timeout: Seconds = 600.0
    post_timeout: Seconds = 300.0
    teardown_reserve: Seconds = 90.0
    teardown_failure: Literal["warn", "fail"] = "warn"
    timeouts: TimeoutTable = TimeoutTable()
    retry: RetryTables = RetryTables()


class File(_Table):
    """The whole file."""

    state_dir: Path = Path("/var/lib/vsspc")
    log_file: Path | None = Path("/var/log/vsspc/vsspc.jsonl")
    defaults: HostTable = HostTable()
    host: dict[str, HostTable] = {}


class Config:
    """A configuration that was read and found good."""

    def __init__(self, file: File, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self.state_dir = file.state_dir
        self.log_file = file.log_file

    def host_table(self, host: str) -> HostTable:
        """Return the effective table of a host: its own keys over the defaults, key by key."""
        own = self._raw.get("host", {}).get(host, {})
        return HostTable.model_validate(_merge(self._raw.get("defaults", {}), own))

    def settings(self, host: str, address: str) -> HostSettings:
        """Return a host's settings. Raise ConfigError when its name, address or times cannot be used."""
        table = self.host_table(check_host_name(host))
        if table.pre_timeout <= table.teardown_reserve:
            raise ConfigError(f"pre_timeout of {host} must be longer than its teardown_reserve").at(host=host)
        retry = {}
        for name, default in DEFAULT_RETRY.items():
            tuned: RetryTable = getattr(table.retry, name)
            given = tuned.model_dump(exclude_none=True)
            retry[name] = RetryTuning(
                attempts=given.get("attempts", default.attempts),
                wait=given.get("wait", default.wait),
                cap=given.get("cap", default.cap),
            )
        volumes = tuple(Volume(name.upper()) for name in table.volumes)
        if len(set(volumes)) != len(volumes):
            raise ConfigError(f"volumes of {host} names one twice").at(host=host)
        return HostSettings(
            host=host,
            address=check_address(address),
            volumes=volumes,
            smb_port=table.smb_port,
            encrypt=table.encrypt,
            rsync_port=table.rsync_port,
            rsync_user=table.rsync_user,
            firewall=table.firewall,
            max_ttl=table.max_ttl,
            idle_ttl=table.idle_ttl,
            pre_timeout=table.pre_timeout,
            post_timeout=table.post_timeout,
            teardown_reserve=table.teardown_reserve,
            teardown_fails_post=table.teardown_failure == "fail",
            timeouts=table.timeouts.model_dump(),
            retry=retry,
        )


def load(path: Path) -> Config:
    """Read and check the file. Raise ConfigError that names every problem."""
    try:
        with open(path, "rb") as file:
            raw = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}", advice="Write one, or name it with --config or VSSPC_CONFIG."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        checked = File.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_problem(one["loc"], one["msg"], one["type"]) for one in error.errors())
        raise ConfigError(f"{path}: {problems}") from None
    return Config(checked, raw)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _problem(location: tuple[int | str, ...], message: str, kind: str) -> str:
    place = ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        return f"{place}: {message}"
    known = [*File.model_fields, *HostTable.model_fields, *TimeoutTable.model_fields, *RetryTable.model_fields]
    near = get_close_matches(str(location[-1]), known, n=1)
    return f"{place}: unknown key" + (f" (did you mean {near[0]}?)" if near else "")
