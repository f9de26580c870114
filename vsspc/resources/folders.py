r"""Folders of ours on the host that several runs, one after the other, share.

What lies in them is run as LocalSystem, so they are made closed to all but administrators, and one that is there already
is looked at before anything is put into it. %SystemRoot%, above them, is Windows' own: only administrators write there.
"""

from __future__ import annotations

from vsspc.core.errors import FolderUnsafe, RemoteFileExists
from vsspc.resources.site import Site
from vsspc.windows import acl


def ensure(site: Site, folder: str) -> bool:
    """Make a folder unless it is there; say whether it was. Raise FolderUnsafe."""
    try:
        site.transport.make_folder(folder)
    except RemoteFileExists:
        check(site, folder)
        return True
    return False


def check(site: Site, folder: str) -> None:
    """Raise FolderUnsafe unless a folder is one indeed, and nobody but administrators could change what is in it."""
    descriptor = site.transport.descriptor(folder)
    why = "it is a link or a file" if descriptor is None else acl.objection(descriptor)
    if why is not None:
        raise FolderUnsafe(rf"%SystemRoot%\{folder} on the host cannot be used: {why}")
