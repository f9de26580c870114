"""Folders of ours on the host that several runs, one after the other, share."""

from __future__ import annotations

from vsspc.core.errors import RemoteFileExists
from vsspc.resources.site import Site


def ensure(site: Site, folder: str) -> None:
    """Make a folder unless it is there."""
    try:
        site.transport.make_folder(folder)
    except RemoteFileExists:
        return
