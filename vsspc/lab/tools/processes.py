"""tasklist and taskkill. Exit codes are what scripts go by: the texts are localised."""

from __future__ import annotations

import asyncio

from vsspc.lab.model import Process
from vsspc.lab.tools import Call


async def tasklist(call: Call) -> int:
    """`tasklist [/FI "PID eq N"|"IMAGENAME eq NAME"] [/FO CSV] [/NH]`; nothing found is exit code 0 too."""
    words = list(call.arguments)
    filters: list[tuple[str, str]] = []
    csv, header = False, True
    while words:
        word = words.pop(0).lower()
        if word == "/fi" and words:
            name, operator, value = (words.pop(0).split(None, 2) + ["", "", ""])[:3]
            if operator.lower() != "eq" or name.lower() not in ("pid", "imagename"):
                call.err("ERROR: The search filter cannot be recognized.")
                return 1
            filters.append((name.lower(), value.lower()))
        elif word == "/fo" and words:
            csv = words.pop(0).lower() == "csv"
        elif word == "/nh":
            header = False
        else:
            call.err(f"ERROR: Invalid argument/option - '{word}'.")
            return 1
    found = [process for process in call.windows.processes.by_pid.values() if _matches(process, filters)]
    if not found:
        call.out("INFO: No tasks are running which match the specified criteria.")
        return 0
    if csv:
        if header:
            call.out('"Image Name","PID","Session Name","Session#","Mem Usage"')
        for process in found:
            call.out(f'"{process.name}","{process.pid}","Services","0","18,432 K"')
        return 0
    if header:
        call.out("\r\nImage Name                     PID Session Name        Session#    Mem Usage")
        call.out("========================= ======== ================ =========== ============")
    for process in found:
        call.out(f"{process.name[:25]:<25} {process.pid:>8} {'Services':<16} {0:>11} {'18,432 K':>12}")
    return 0


def _matches(process: Process, filters: list[tuple[str, str]]) -> bool:
    values = {"pid": str(process.pid), "imagename": process.name.lower()}
    return all(values[name] == value for name, value in filters)


async def taskkill(call: Call) -> int:
    """`taskkill /f [/t] /im NAME | /pid N`: 0 when all are gone, 128 when there is none, 1 without /f."""
    words = list(call.arguments)
    force = tree = False
    pids: list[int] = []
    missing: list[str] = []
    processes = call.windows.processes
    while words:
        word = words.pop(0).lower()
        if word == "/f":
            force = True
        elif word == "/t":
            tree = True
        elif word in ("/im", "/pid") and words:
            value = words.pop(0)
            found = processes.named(value) if word == "/im" else [int(value)] if value.isdigit() else []
            found = [pid for pid in found if pid in processes.by_pid]
            pids += found
            if not found:
                missing.append(value)
        else:
            call.err(f"ERROR: Invalid argument/option - '{word}'.")
            return 1
    code = 0
    for value in missing:
        call.err(f'ERROR: The process "{value}" not found.')
        code = 128
    if pids and not force:
        for pid in pids:
            call.err(f"ERROR: The process with PID {pid} could not be terminated.")
            call.err("Reason: This process can only be terminated forcefully (with /F option).")
        return 1
    chosen: list[int] = []
    for pid in pids:
        for each in [*(processes.descendants(pid) if tree else []), pid]:
            if each not in chosen and each != call.process.pid:
                chosen.append(each)
    for pid in chosen:
        process = processes.by_pid.get(pid)
        if process is None:
            continue
        processes.kill(pid)
        child = f" (child process of PID {process.parent})" if tree else ""
        call.out(f"SUCCESS: The process with PID {pid}{child} has been terminated.")
    if chosen:
        await asyncio.sleep(0.01)  # A killed process lets go of its files a moment later, here as there.
    return code
