"""pyspnego without CredSSP: a third of its import (ssl, X.509, RSA keys), for a protocol of remote desktops that SMB has not.

`spnego.auth` imports `spnego._credssp` for the name of its class alone (pyspnego 0.12, auth.py). It gets a class that
nobody calls. Should another version want more of that module, it is given all of it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

_NEEDLESS: Final = "spnego._credssp"


def load() -> None:
    """Import pyspnego, if that has not been done."""
    if "spnego" in sys.modules:
        return
    before = set(sys.modules)
    stand_in = ModuleType(_NEEDLESS)
    setattr(stand_in, "CredSSPProxy", type("CredSSPProxy", (), {}))  # noqa: B010  # it is not an attribute of all modules
    sys.modules[_NEEDLESS] = stand_in
    try:
        importlib.import_module("spnego")
    except ImportError:
        for name in [one for one in sys.modules if one.partition(".")[0] == "spnego" and one not in before]:
            del sys.modules[name]
    finally:
        sys.modules.pop(_NEEDLESS, None)
