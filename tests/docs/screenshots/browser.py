"""HTML as a picture, by Debian's Chromium without a window, which gets nothing from any network."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

_FLAGS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb", "--disable-dev-shm-usage",
)  # fmt: skip


class NoBrowser(Exception):
    """Chromium is not there, or made no picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a PNG file has: its size in pixels, and how many rows are not all of one colour."""

    width: int
    height: int
    rows_with_something: int


def take(html: str, file: Path, *, width: int, height: int, timeout: float = 60.0) -> None:
    """Write the picture of a page into a PNG file. Raise NoBrowser."""
    if (chromium := shutil.which("chromium")) is None:
        raise NoBrowser("chromium is not installed: make setup")
    with tempfile.TemporaryDirectory(prefix="vsspc-page-") as name:
        folder = Path(name)
        (folder / "page.html").write_text(html, "utf-8")
        command = [chromium, *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # it refuses to run as root with it
        command += [f"--screenshot={folder / 'shot.png'}", f"file://{folder / 'page.html'}"]
        environment = {"PATH": os.defpath, "HOME": name, "LANG": "C.UTF-8"}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
        shot = folder / "shot.png"
        if done.returncode or not shot.is_file():
            raise NoBrowser(f"chromium made no picture: {done.stderr[-2000:]}")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shot, file)


def look(file: Path) -> Picture:
    """Return what is in a PNG file of eight bits a channel, as Chromium writes it. Raise ValueError for another."""
    data = file.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"{file} is no PNG")
    at, packed, header = 8, b"", b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        header = chunk if kind == b"IHDR" else header
        packed += chunk if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    if depth != 8 or colour not in (2, 6):
        raise ValueError(f"{file} has {depth} bits a channel, colour type {colour}")
    stride = 1 + width * (3 if colour == 2 else 4)
    raw = zlib.decompress(packed)
    rows = [raw[row * stride : (row + 1) * stride] for row in range(height)]
    # With any of PNG's filters a row that is as the one above, or of one colour, is nearly all zeroes.
    return Picture(width, height, sum(len(row) - row.count(0) > 12 for row in rows))
