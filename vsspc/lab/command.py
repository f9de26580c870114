"""`vsspc lab`: a Windows host to try vsspc on, in one folder, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vsspc.lab.host import ACCOUNTS, Build, Lab, LabError
from vsspc.lab.kdc import KdcError
from vsspc.lab.languages import LANGUAGES
from vsspc.lab.model import Edition
from vsspc.lab.samba import Account, SambaError
from vsspc.lab.wine.installation import WineUnavailable

SAMPLE = {
    "C:\\Users\\Public\\Documents\\letter.txt": b"A letter that anybody can read.\r\n",
    "C:\\Users\\Public\\Documents\\Umsatz \xc3\xa4.csv": b"month;sum\r\n1;100\r\n",
    "C:\\ProgramData\\Ledger\\ledger.db": b"A database that its program holds open: locked.\r\n" * 1000,
}
LOCKED = "C:\\ProgramData\\Ledger\\ledger.db"


@click.command()
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="Keep everything here [a temporary folder].")
@click.option("--address", metavar="127.X.Y.Z", help="Where the host listens [a random one].")
@click.option("--smb-port", type=int, metavar="PORT", help="SMB's port [a free one].")
@click.option("--rsync-port", type=int, metavar="PORT", help="rsyncd's port [a free one].")
@click.option(
    "--volume",
    "volumes",
    multiple=True,
    default=("C:",),
    metavar="X:",
    help=r"A volume, or X:\folder for one that is mounted there; with =fat32, =locked (by BitLocker) or =subst"
    " (a drive that stands for a folder) one that VSS cannot copy; repeatable [C:].",
)
@click.option(
    "--edition",
    type=click.Choice(["server", "client"]),
    default="server",
    help="Of Windows; only a server has diskshadow [server, so that every engine is there].",
)
@click.option(
    "--language",
    type=click.Choice(sorted(LANGUAGES)),
    default="english",
    help="What Windows' own programs print, in bytes of its OEM code page [english].",
)
@click.option(
    "--vshadow",
    type=click.Choice(["full", "sample", "32bit"]),
    default="full",
    help="The bundle's build; the sample knows no -nw, a 32-bit one does not work [full].",
)
@click.option("--tick", type=float, default=1.0, metavar="SECONDS", help="What a second lasts in the host's waits [1].")
@click.option("--without", multiple=True, metavar="FILE", help="A file that the bundle lacks; repeatable.")
@click.option("--encryption", type=click.Choice(["desired", "required", "off"]), default="desired", help="SMB's.")
@click.option("--lockout", type=int, default=0, metavar="N", help="Wrong passwords that lock an account [never].")
@click.option("--unshared", multiple=True, metavar="SHARE", help="An administrative share that is missing; repeatable.")
@click.option("--volume-size", type=click.IntRange(1), metavar="MIB", help="Volumes of this size, in memory (root) [no limit].")
@click.option("--real-paexec", is_flag=True, help="The real PAExec in Wine, in place of ours (root; set up if need be).")
@click.option("--kerberos", is_flag=True, help="A KDC beside the host, and NTLM off: tickets are the only way in.")
@click.option("--token-filter", is_flag=True, help="LocalAccountTokenFilterPolicy is not set: local accounts lose their rights.")
@click.option("--clock", type=int, default=0, metavar="SECONDS", help="How far the host's clock is ahead (needs libfaketime) [0].")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[,KEY=VALUE]...",
    help="A fault from the start on (vsspc/lab/faults.py lists them); repeatable.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the administrator's password stands, alone [Backup-1].",
)
@click.option("--no-samba", is_flag=True, help="Without SMB: only what runs on the host.")
@click.option("--until-eof", is_flag=True, help="End when the standard input ends: with the program that started it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for a program, and no sample files.")
def lab(
    state: Path | None,
    address: str | None,
    smb_port: int | None,
    rsync_port: int | None,
    volumes: tuple[str, ...],
    edition: Edition,
    language: str,
    vshadow: Build,
    tick: float,
    without: tuple[str, ...],
    encryption: str,
    lockout: int,
    unshared: tuple[str, ...],
    volume_size: int | None,
    real_paexec: bool,
    kerberos: bool,
    token_filter: bool,
    clock: int,
    faults: tuple[str, ...],
    password_file: Path | None,
    no_samba: bool,
    until_eof: bool,
    as_json: bool,
) -> None:
    """Run a rehearsal Windows host on this machine, until Ctrl-C."""

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if until_eof:
            loop.add_reader(sys.stdin.fileno(), stop.set)
        host = Lab(
            state,
            address=address,
            smb_port=smb_port,
            rsync_port=rsync_port,
            volumes=volumes,
            edition=edition,
            language=language,
            vshadow=vshadow,
            tick=tick,
            bundle_without=without,
            with_samba=not no_samba,
            encryption="off" if encryption == "off" else "required" if encryption == "required" else "desired",
            lockout_after=lockout,
            real_paexec=real_paexec,
            volume_size=volume_size,
            kerberos=kerberos,
            token_filter=token_filter,
            clock=clock,
            accounts=ACCOUNTS if password_file is None else _with_password(password_file.read_text("utf-8").strip()),
            shares=[share for share in ("ADMIN$", "C$") if share not in unshared],
        )
        async with host:
            for fault in faults:
                name, *parameters = fault.split(",")
                given: dict[str, Any] = dict(_pair(one) for one in parameters)
                await host.inject(name, int(given.pop("times")) if "times" in given else None, **given)
            if as_json:
                click.echo(json.dumps(host.description()))
            else:
                populate(host)
                click.echo(explanation(host))
            sys.stdout.flush()
            await stop.wait()

    try:
        asyncio.run(serve())
    except (LabError, SambaError, KdcError, WineUnavailable, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise LabError(f"--fault: {text} is not KEY=VALUE")
    return key, value


def _with_password(password: str) -> list[Account]:
    """Return the accounts, the administrators with this password. It comes by a file: an argument could be read by others."""
    return [replace(account, password=password) if account.administrator else account for account in ACCOUNTS]


def populate(host: Lab) -> None:
    """Put a few files on C:, one of them locked."""
    drives = host.windows.drives()
    for path, content in SAMPLE.items():
        local = Path(drives.local(path))
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(content)
    host.windows.volumes.lock(LOCKED)


def explanation(host: Lab) -> str:
    """Return what a person needs to know to use the lab."""
    account = host.accounts[0]
    config = host.state / "vsspc.toml"
    session = host.state / "server" / "labhost" / "session"
    realm = f"\n  export KRB5_CONFIG={host.kdc.config}" if host.kdc else ""
    return f"""\
A Windows host that is none. Its C: is {host.state / "c"}; {LOCKED} is locked.

  SMB     {host.address} port {host.smb_port}, account {account.name}, password {account.password}
  rsyncd  {host.address} port {host.rsync_port}, once vsspc has started it
  events  {host.events.path}

Take a snapshot and serve it:{realm}
  vsspc --config {config} pre --client labhost --host {host.address}
Read the locked file out of it:
  (. {session} && RSYNC_PASSWORD=$password rsync -r rsync://$user@{host.address}:$port/C/ProgramData/Ledger/ .)
Take it down:
  vsspc --config {config} post --client labhost --host {host.address}

Ctrl-C ends it{" and removes the folder" if host.made_state else ""}."""


if __name__ == "__main__":
    lab()
