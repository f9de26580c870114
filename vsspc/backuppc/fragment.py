"""A host's settings for BackupPC, as Perl in the shape that its web editor leaves alone: pure text.

The editor evaluates the file and writes each `$Conf{NAME} = …;` anew as a literal; every other line stays as it is
(BackupPC 4.4.0, lib/BackupPC/Storage/Text.pm, ConfigFileMerge). So: one statement a setting, at the beginning of a
line; no comment behind or within a statement; commands as plain strings, since it makes `ARRAY(0x…)` of the list form
(they are of type string in lib/BackupPC/Config/Meta.pm); no password; and a true value at the end (Text.pm,
ConfigDataRead, may refuse an undefined one). Measured: tests/backuppc/test_web_editor.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsspc.backuppc.excludes import excludes
from vsspc.core.errors import ConfigError
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume

CLIENT_TIMEOUT = 72000
"""BackupPC's own ClientTimeout, in seconds (its config.pl)."""
_PATH = re.compile(r"(/[A-Za-z0-9._+-]+)+")
_WIDTH = 118

RESTORE_ARGUMENTS = (
    "--recursive",
    "--protect-args",
    "--numeric-ids",
    "--perms",
    "-D",
    "--times",
    "--links",
    "--hard-links",
    "--log-format=log: %o %i %B %8U,%8G %9l %f%L",
    "--stats",
)
"""BackupPC's own RsyncRestoreArgs (config.pl of 4.4.0) without `--super --owner --group`, `--delete` and `--partial`.

Measured, each with BackupPC's own in its place: tests/backuppc/test_restore_arguments.py.
"""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where this vsspc has what BackupPC's settings name: its shims, the state of its runs, its own configuration.

    Raise ConfigError for the first two when BackupPC, which splits commands at white space and evaluates some as Perl,
    would take them for something else.
    """

    shims: Path = Path("/opt/vsspc/shims")
    state_dir: Path = Path("/var/lib/vsspc")
    config: Path = Path("/etc/vsspc/vsspc.toml")

    def __post_init__(self) -> None:
        for path in (self.shims, self.state_dir):
            if not _PATH.fullmatch(str(path)):
                raise ConfigError(
                    f"the path {str(path)[:200]!a} cannot stand in BackupPC's settings",
                    advice="Use an absolute path of letters, digits and . _ + - only.",
                )


def hooks(paths: Paths) -> Mapping[str, str]:
    """Return the user commands by setting, as BackupPC wants them."""
    module, state = f"{paths.shims}/VSSPC.pm", paths.state_dir
    closed = f'$? = 256; require "{module}"'
    return {
        "DumpPreUserCmd": f'&{{sub {{ {closed}; VSSPC::pre($bpc, $args[0], "{paths.shims}/vsspc-pre") }}}}',
        "DumpPreShareCmd": f'&{{sub {{ {closed}; VSSPC::load($bpc, $args[0], "{state}") }}}}',
        "DumpPostShareCmd": f'&{{sub {{ require "{module}"; VSSPC::count($bpc, $args[0], "{state}") }}}}',
        "DumpPostUserCmd": f"{paths.shims}/vsspc-post --client $client --host $hostIP --xfer-ok $xferOK",
        "RestorePreUserCmd": (
            f'&{{sub {{ {closed}; VSSPC::restore($bpc, $args[0], "{paths.shims}/vsspc-restore-pre", "{state}") }}}}'
        ),
        "RestorePostUserCmd": f"{paths.shims}/vsspc-restore-post --client $client --host $hostIP --xfer-ok $xferOK",
    }


def statement(name: str, value: str | int | None | list[str]) -> str:
    """Return the assignment of a setting."""
    if isinstance(value, list):
        line = f"$Conf{{{name}}} = [{', '.join(map(_literal, value))}];"
        if len(line) > _WIDTH:
            line = f"$Conf{{{name}}} = [\n{_items(value, 2)}\n];"
        return line
    return f"$Conf{{{name}}} = {'undef' if value is None else value if isinstance(value, int) else _literal(value)};"


def fragment(host: HostSettings, paths: Paths) -> str:
    """Return the whole file of a host."""
    return "".join(f"{part}\n" for part in (_head(host, paths), *_body(host, paths), "1;"))


def _head(host: HostSettings, paths: Paths) -> str:
    return (
        _comment(f"""\
BackupPC 4.x settings for {host.host}, a Windows host that vsspc serves. This is /etc/BackupPC/pc/{host.host}.pl, in
Debian /etc/backuppc/{host.host}.pl, as `vsspc backuppc {host.host}` prints it from {paths.config}.
Print it again after a change of the host's volumes, rsync_port, restore or max_ttl there, or of state_dir.
`vsspc check {host.host}` says whether BackupPC has what it needs.

The shape of this file matters to BackupPC's web editor, which rewrites it on every save: one statement a line or
block, no comment behind a statement, user commands as plain strings (it destroys the list form), and a true value
at the end (BackupPC refuses a file that ends in an undefined one).""")
        + "\n"
    )


def _body(host: HostSettings, paths: Paths) -> list[str]:
    told = hooks(paths)
    return [
        _comment(f"""\
One rsync module for each volume that the host's `volumes` names in {paths.config.name}: C for C:, D for D:."""),
        statement("XferMethod", "rsyncd"),
        statement("RsyncShareName", [volume.module for volume in host.volumes]) + "\n",
        *_access(host),
        _comment(f"""\
The hooks. Without UserCmdCheckStatus = 1 BackupPC ignores a hook that fails.
Those that begin with & are Perl that BackupPC evaluates. They count as failed until VSSPC.pm says $? = 0, so a
missing or broken VSSPC.pm ends the dump too. {paths.state_dir} is state_dir of {paths.config.name}.
pre makes the shadow copy and serves it, load gives this run's port and password to the transfer, count notes how
many files a share has, post takes everything down. restore does what pre and load do, for a restore."""),
        statement("UserCmdCheckStatus", 1),
        *(statement(name, told[name]) for name in told),
        "",
        _comment("A full dump that found no file at all is a failure, not an empty backup."),
        statement("BackupZeroFilesIsFatal", 1) + "\n",
        *_timeout(host),
        _comment("""\
Nothing beyond BackupPC's own RsyncArgs. Above all no --ignore-errors, with which a shadow copy that vanishes in
mid-transfer would delete files from the backup."""),
        statement("RsyncArgsExtra", []) + "\n",
        _comment("The rsync on the host speaks UTF-8, and so does BackupPC: nothing is to be converted."),
        statement("ClientCharset", "") + "\n",
        *_restores(host),
        *_excludes(host.volumes),
    ]


def _access(host: HostSettings) -> list[str]:
    return [
        _comment("""\
Port, user and password come with each run: DumpPreShareCmd below loads them. Until then there is no password, and
BackupPC refuses to transfer: so nothing else that listens on the host can be read by mistake. Do not put one here."""),
        *([statement("RsyncdClientPort", host.rsync_port)] if host.rsync_port is not None else []),
        statement("RsyncdUserName", host.rsync_user),
        statement("RsyncdPasswd", "") + "\n",
    ]


def _timeout(host: HostSettings) -> list[str]:
    if host.max_ttl >= CLIENT_TIMEOUT:
        return []
    return [
        _comment("No longer than the host's max_ttl: the host then ends the run by itself."),
        statement("ClientTimeout", int(host.max_ttl)) + "\n",
    ]


def _restores(host: HostSettings) -> list[str]:
    if host.restore == "off":
        return [
            _comment("""\
Direct restores are off for this host (`restore`). An undefined RsyncRestoreArgs hides them, and RestorePreUserCmd
refuses one that is asked for all the same; files are restored as a zip or tar archive from BackupPC's pages."""),
            statement("RsyncRestoreArgs", None) + "\n",
        ]
    where = (
        "anywhere on a volume (`restore`). Files that are newer than the backup are replaced."
        if host.restore == "volume"
        else f"into the folder {host.restore_folder} of a volume (`restore`, `restore_folder`)."
    )
    return [
        _comment(f"""\
Direct restores write {where}
BackupPC's own RsyncRestoreArgs without: --super --owner --group, since rsync on Windows sets no owners, and where it
tries to, that is an error for each file; --delete, which removes from a restored folder what the backup does not have,
excluded files too; and --partial, which leaves half a file in the place of a whole one when a restore breaks off."""),
        statement("RsyncRestoreArgs", list(RESTORE_ARGUMENTS)) + "\n",
    ]


def _excludes(volumes: tuple[Volume, ...]) -> list[str]:
    shares = excludes(volumes).items()
    lists = ",\n".join(f"  {_literal(share)} => [\n{_items(patterns, 4)}\n  ]" for share, patterns in shares)
    return [
        _comment("""\
What is not worth keeping from a Windows volume. Patterns begin at the volume's root; rsync minds upper and lower
case, so names that Windows spells in two ways are listed twice. 'C' is the system volume, '*' any other one.
First: files that Windows makes anew at each start, and its own stores of shadow copies and deleted files.
Then: caches, temporary files and reports. Last: what vsspc itself has on the host while a dump runs."""),
        f"$Conf{{BackupFilesExclude}} = {{\n{lists}\n}};\n",
    ]


def _items(values: list[str] | tuple[str, ...], indent: int) -> str:
    return ",\n".join(" " * indent + _literal(value) for value in values)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _comment(text: str) -> str:
    return "\n".join(("#", *(f"# {line}".rstrip() for line in text.splitlines()), "#"))
