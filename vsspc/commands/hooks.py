"""`vsspc pre`, `post`, `restore-pre`, `restore-post`: what BackupPC's hooks call. Their start counts: few imports."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vsspc.commands import common
from vsspc.core.words import check_address

if TYPE_CHECKING:
    from vsspc.config.host import HostConfig
    from vsspc.ports import Log

_client = click.option("--client", required=True, metavar="NAME", help="BackupPC's name of the host.")
_address = click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
_xfer_ok = click.option("--xfer-ok", default="0", metavar="0|1", help="BackupPC's $xferOK.")


@click.command(short_help="Take a snapshot and serve it by rsyncd: DumpPreUserCmd.")
@_client
@_address
@click.option("--type", "kind", default="full", metavar="full|incr", help="The kind of dump, for the log.")
@common.with_sets
@click.pass_obj
def pre(config_path: str | None, client: str, address: str, kind: str, sets: tuple[str, ...]) -> None:
    """Take a snapshot of the host and serve it by rsyncd, for DumpPreUserCmd."""
    common.run(lambda: _pre(config_path, sets, client, address, kind), client)


@click.command(short_help="Take everything down again: DumpPostUserCmd.")
@_client
@_address
@_xfer_ok
@common.with_sets
@click.pass_obj
def post(config_path: str | None, client: str, address: str, xfer_ok: str, sets: tuple[str, ...]) -> None:
    """Take everything down on the host again, for DumpPostUserCmd."""
    common.run(lambda: _post(config_path, sets, client, address, xfer_ok == "1"), client)


@click.command("restore-pre", short_help="Serve a share for writing: RestorePreUserCmd.")
@_client
@_address
@click.option("--share", required=True, metavar="MODULE", help="BackupPC's $share: what is restored to.")
@common.with_sets
@click.pass_obj
def restore_pre(config_path: str | None, client: str, address: str, share: str, sets: tuple[str, ...]) -> None:
    """Serve a share of the host for writing, where its settings allow that, for RestorePreUserCmd."""
    common.run(lambda: _restore_pre(config_path, sets, client, address, share), client)


@click.command("restore-post", short_help="Take that down again: RestorePostUserCmd.")
@_client
@_address
@_xfer_ok
@common.with_sets
@click.pass_obj
def restore_post(config_path: str | None, client: str, address: str, xfer_ok: str, sets: tuple[str, ...]) -> None:
    """Take that down on the host again, for RestorePostUserCmd."""
    common.run(lambda: _restore_post(config_path, sets, client, address, xfer_ok == "1"), client)


@contextmanager
def _hook(
    config_path: str | None,
    sets: Sequence[str],
    client: str,
    address: str,
    command: str,
    *,
    kind: str = "",
    transfer_ok: bool | None = None,
) -> Iterator[tuple[HostConfig, Log]]:
    """Give a hook's configuration and log; inside, an error is announced by where its details stand.

    Raise ConfigError for what is no host's name or address, before anything is kept of it.
    """
    from vsspc import wiring
    from vsspc.log import details_named

    check_address(address)
    config = wiring.load_host(config_path, sets, client)
    log = wiring.host_log(config, command)
    with (
        details_named(sys.stdout, config.log_file),
        wiring.recorded(config, log, command, kind=kind, transfer_ok=transfer_ok) as recorder,
    ):
        yield config, recorder


def _pre(config_path: str | None, sets: Sequence[str], client: str, address: str, kind: str) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with _hook(config_path, sets, client, address, "pre", kind=kind[:20]) as (config, log):
        programs = wiring.host_bundle(config)
        with wiring.host_run(config, address, log, for_reader=True) as run:
            log.info("pre", type=kind[:20], address=address)
            lease = run.pre(programs)
    log.info(
        "pre.done",
        run=lease.run,
        modules=[volume.module for volume in lease.volumes],
        address=address,
        took=round(time.monotonic() - began, 3),
        details=str(config.log_file),
        **({"live": True} if lease.live else {}),
    )


def _post(config_path: str | None, sets: Sequence[str], client: str, address: str, transfer_ok: bool) -> None:
    from vsspc import wiring

    began, good = time.monotonic(), False
    with _hook(config_path, sets, client, address, "post", transfer_ok=transfer_ok) as (config, log):
        try:
            with wiring.host_run(config, address, log) as run:
                lease = run.post(transfer_ok=transfer_ok)
            good = transfer_ok
        finally:
            wiring.guard_files(config, log, good=good)
    took = time.monotonic() - began
    log.info("post.done", run=lease.run, state=lease.state.value, took=round(took, 3), live=lease.live)


def _restore_pre(config_path: str | None, sets: Sequence[str], client: str, address: str, share: str) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with _hook(config_path, sets, client, address, "restore-pre") as (config, log):
        programs = wiring.host_bundle(config)
        with wiring.host_run(config, address, log, for_reader=True) as run:
            log.info("restore-pre", share=share, address=address)
            lease = run.restore_pre(share, programs)
    took = round(time.monotonic() - began, 3)
    log.info("restore-pre.done", run=lease.run, module=share, address=address, took=took, details=str(config.log_file))


def _restore_post(config_path: str | None, sets: Sequence[str], client: str, address: str, transfer_ok: bool) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with (
        _hook(config_path, sets, client, address, "restore-post", transfer_ok=transfer_ok) as (config, log),
        wiring.host_run(config, address, log) as run,
    ):
        lease = run.restore_post(transfer_ok=transfer_ok)
    log.info("restore-post.done", run=lease.run, state=lease.state.value, took=round(time.monotonic() - began, 3))
