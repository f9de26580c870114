"""The findings about what BackupPC has for a host, from its settings and what this server's files are like. Pure.

Why each point matters is in the finding itself; what BackupPC does is said of version 4.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsspc.backuppc import userhooks
from vsspc.backuppc.fragment import CLIENT_TIMEOUT, RESTORE_ARGUMENTS, Paths, hooks, statement
from vsspc.backuppc.settings import BackupPC, HostFile
from vsspc.backuppc.userhooks import Files
from vsspc.core.findings import Finding, Level
from vsspc.core.settings import HostSettings

_ARGUMENT_LISTS = ("RsyncArgs", "RsyncArgsExtra", "RsyncFullArgsExtra", "RsyncIncrArgsExtra")
_HARMFUL_IN_RESTORES = ("--delete", "--super", "--owner", "--group")


def check(host: HostSettings, paths: Paths, backuppc: BackupPC, files: Files) -> list[Finding]:
    """Return what is found about a host of BackupPC: one finding for each point, in a fixed order."""
    file = backuppc.hosts[host.host]
    found = [_known(host.host, backuppc), _file(host.host, file)]
    if file.problem is not None:
        return found
    conf = file.conf
    return [
        *found,
        _method(conf),
        _shares(host, conf),
        _status_check(conf),
        *userhooks.findings(host, paths, conf, files),
        _access(host, paths, conf),
        _zero_files(conf),
        _arguments(conf),
        _restores(host, conf),
        _timeout(host, paths, conf),
        _path(backuppc, files),
        _top_dir(backuppc, files),
        _secrets(backuppc, file, files),
    ]


def _known(name: str, backuppc: BackupPC) -> Finding:
    if name in backuppc.known:
        return Finding("hosts", Level.OK, "BackupPC knows this host.")
    if name.lower() in backuppc.known:
        says = f"BackupPC calls this host {name.lower()}, as it does with all names: settings for {name} are not used."
        return Finding("hosts", Level.FAILED, says, f'[host."{name.lower()}"]')
    return Finding("hosts", Level.FAILED, "BackupPC does not know this host: it never dumps it.", f"{name} 0 backuppc")


def _file(name: str, file: HostFile) -> Finding:
    point = file.path.name
    if file.problem is not None:
        return Finding(point, Level.FAILED, f"BackupPC cannot read it: {file.problem}.", f"perl -c {file.path}")
    if not file.there:
        says = f"There is no {file.path}: config.pl alone says how this host is dumped."
        return Finding(point, Level.WARNING, says, f"vsspc backuppc {name} >{file.path}")
    if not file.defined:
        says = "Its last statement has no value: if a call in it fails, BackupPC takes it for a file that it cannot read."
        return Finding(point, Level.WARNING, says, "1;")
    return Finding(point, Level.OK, f"BackupPC reads {file.path}.")


def _method(conf: Mapping[str, object]) -> Finding:
    if conf.get("XferMethod") == "rsyncd":
        return Finding("XferMethod", Level.OK, "rsyncd")
    return Finding(
        "XferMethod",
        Level.FAILED,
        f"{conf.get('XferMethod')} does not read what vsspc serves.",
        statement("XferMethod", "rsyncd"),
    )


def _shares(host: HostSettings, conf: Mapping[str, object]) -> Finding:
    modules = {volume.module: volume for volume in host.volumes}
    shares = _list(conf.get("RsyncShareName"))
    elsewhere = conf.get("ClientShareName2Path")
    mapped = elsewhere if isinstance(elsewhere, Mapping) else {}
    read = {share: str(mapped.get(share) or share).strip("/").split("/")[0] for share in shares}
    mend = statement("RsyncShareName", list(modules))
    strange = [share for share, module in read.items() if module not in modules]
    if strange or not shares:
        names = ", ".join(strange) or "none"
        says = f"No volume of the host is served as {names}: its dumps fail. (`volumes` makes: {', '.join(modules)}.)"
        return Finding("RsyncShareName", Level.FAILED, says, mend)
    if lost := [volume.name for module, volume in modules.items() if module not in read.values()]:
        says = f"{', '.join(lost)} is in the shadow copy, and in no share: it is not backed up."
        return Finding("RsyncShareName", Level.WARNING, says, mend)
    return Finding("RsyncShareName", Level.OK, ", ".join(shares))


def _status_check(conf: Mapping[str, object]) -> Finding:
    if _true(conf.get("UserCmdCheckStatus")):
        return Finding("UserCmdCheckStatus", Level.OK, "A hook that fails ends the dump.")
    return Finding(
        "UserCmdCheckStatus",
        Level.FAILED,
        "BackupPC ignores a hook that fails: it goes on without a shadow copy, and calls a dump good that post calls bad.",
        statement("UserCmdCheckStatus", 1),
    )


def _access(host: HostSettings, paths: Paths, conf: Mapping[str, object]) -> Finding:
    """Look at the port, the user and the password of the transfer."""
    there = conf.get("RsyncdPasswd") not in (None, "")
    if userhooks.loads_session(conf):
        if not there:
            return Finding("RsyncdPasswd", Level.OK, "It is empty until the session of the run is loaded.")
        says = (
            "A password stands here, though each run loads its own: where that fails, BackupPC may read something else."
        )
        return Finding("RsyncdPasswd", Level.WARNING, says, statement("RsyncdPasswd", ""))
    fixed = host.rsync_password
    load = statement("DumpPreShareCmd", hooks(paths)["DumpPreShareCmd"])
    if fixed is None or host.rsync_port is None:
        lacking = "rsync_password_file" if fixed is None else "fixed rsync_port"
        says = f"No hook loads port and password for the transfer, and the host has no {lacking}."
        return Finding("RsyncdPasswd", Level.FAILED, says, load)
    if conf.get("RsyncdPasswd") != fixed.reveal():
        says = "It is not the password of the host's rsync_password_file: the transfer is refused."
        return Finding("RsyncdPasswd", Level.FAILED, says, "$Conf{RsyncdPasswd} = '(the line of rsync_password_file)';")
    if str(conf.get("RsyncdClientPort")) != str(host.rsync_port):
        says = f"The host serves port {host.rsync_port}, BackupPC goes to {conf.get('RsyncdClientPort')}."
        return Finding("RsyncdPasswd", Level.FAILED, says, statement("RsyncdClientPort", host.rsync_port))
    if conf.get("RsyncdUserName") != host.rsync_user:
        says = f"The host lets {host.rsync_user} in, BackupPC is {conf.get('RsyncdUserName') or 'nobody'}."
        return Finding("RsyncdPasswd", Level.FAILED, says, statement("RsyncdUserName", host.rsync_user))
    return Finding("RsyncdPasswd", Level.OK, "Port, user and password are the fixed ones of the host.")


def _zero_files(conf: Mapping[str, object]) -> Finding:
    if _true(conf.get("BackupZeroFilesIsFatal")):
        return Finding("BackupZeroFilesIsFatal", Level.OK, "A full dump without a file is a failure.")
    return Finding(
        "BackupZeroFilesIsFatal",
        Level.FAILED,
        "A full dump that found no file counts as good, and as the newest backup.",
        statement("BackupZeroFilesIsFatal", 1),
    )


def _arguments(conf: Mapping[str, object]) -> Finding:
    for name in _ARGUMENT_LISTS:
        given = _list(conf.get(name))
        if "--ignore-errors" in given:
            return Finding(
                name,
                Level.FAILED,
                "--ignore-errors: when the shadow copy vanishes in mid-transfer, files that were not read are deleted from"
                " the backup.",
                statement(name, [one for one in given if one != "--ignore-errors"]),
            )
    return Finding("RsyncArgs", Level.OK, "Errors are not ignored.")


def _restores(host: HostSettings, conf: Mapping[str, object]) -> Finding:
    given = _list(conf.get("RsyncRestoreArgs")) + _list(conf.get("RsyncRestoreArgsExtra"))
    offered = bool(_list(conf.get("RsyncRestoreArgs")))
    if host.restore == "off":
        if not offered:
            return Finding("RsyncRestoreArgs", Level.OK, "Direct restores are off, and hidden.")
        says = "BackupPC's pages offer a direct restore, and vsspc refuses it: `restore` is off."
        return Finding("RsyncRestoreArgs", Level.WARNING, says, statement("RsyncRestoreArgs", None))
    mend = statement("RsyncRestoreArgs", list(RESTORE_ARGUMENTS)).replace("\n", " ")
    if not offered:
        says = f'`restore` is "{host.restore}", but BackupPC hides direct restores.'
        return Finding("RsyncRestoreArgs", Level.WARNING, says, mend)
    undone = {one.replace("--no-", "--", 1) for one in given if one.startswith("--no-")}
    harmful = [one for one in _HARMFUL_IN_RESTORES if one in given and one not in undone]
    if "--delete" in harmful:
        says = "--delete: a restored folder loses what the backup does not have, excluded and newer files too."
        return Finding("RsyncRestoreArgs", Level.FAILED, says, mend)
    if harmful:
        says = f"{' '.join(harmful)}: rsync on Windows cannot change owners, and a restore ends with an error for each file."
        return Finding("RsyncRestoreArgs", Level.WARNING, says, mend)
    return Finding("RsyncRestoreArgs", Level.OK, "Restores delete nothing and change no owner.")


def _timeout(host: HostSettings, paths: Paths, conf: Mapping[str, object]) -> Finding:
    given = _number(conf.get("ClientTimeout"), CLIENT_TIMEOUT)
    if given <= host.max_ttl:
        return Finding(
            "ClientTimeout", Level.OK, f"{given:g} s; the host keeps a run up to {host.max_ttl:g} s (max_ttl)."
        )
    return Finding(
        "ClientTimeout",
        Level.WARNING,
        f"BackupPC may wait {given:g} s for a dump; the host ends its run after {host.max_ttl:g} s (max_ttl in"
        f" {paths.config}), and the dump with it.",
        statement("ClientTimeout", int(host.max_ttl)),
    )


def _path(backuppc: BackupPC, files: Files) -> Finding:
    if files.found("rsync", backuppc.path):
        return Finding("PATH", Level.OK, f"The hooks have {backuppc.path}; rsync is there.")
    return Finding(
        "PATH",
        Level.FAILED,
        f"The hooks have {backuppc.path or 'none'}, and rsync is not there: pre cannot prove what it serves.",
        "$ENV{PATH} = '/bin:/usr/bin';",
    )


def _top_dir(backuppc: BackupPC, files: Files) -> Finding:
    if trouble := files.loses_modes(str(backuppc.top_dir)):
        return Finding(
            "TopDir",
            Level.FAILED,
            f"{trouble}: rsync refuses a password file that others may read, and each transfer has one there.",
            f"keep {backuppc.top_dir} on a file system with Unix modes: not FAT or exFAT, not a Windows share",
        )
    return Finding("TopDir", Level.OK, f"{backuppc.top_dir} keeps owners and modes.")


def _secrets(backuppc: BackupPC, file: HostFile, files: Files) -> Finding:
    candidates = [str(path) + end for path in (backuppc.config, file.path) for end in ("", ".old")]
    shown = {path: names for path in candidates if (names := files.secrets_for_all(path))}
    if not shown:
        return Finding("passwords", Level.OK, "No password in BackupPC's settings is readable by everybody.")
    told = "; ".join(f"{path} has {', '.join(names)}" for path, names in shown.items())
    return Finding(
        "passwords", Level.FAILED, f"Everybody on this server can read: {told}.", f"chmod o-rwx {' '.join(shown)}"
    )


def _list(value: object) -> list[str]:
    """Return a setting that BackupPC takes as a list or as its only item."""
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else _one(value)


def _one(value: object) -> list[str]:
    return [] if value in (None, "") else [str(value)]


def _true(value: object) -> bool:
    """Tell whether Perl takes a value for true."""
    return value not in (None, "", "0", 0)


def _number(value: object, otherwise: float) -> float:
    try:
        return float(str(value))
    except ValueError:
        return otherwise
