"""pyspnego without what SMB never needs of it: a third of its import.

* CredSSP, a protocol of remote desktops, with ssl, X.509 and RSA keys: `spnego.auth` imports `spnego._credssp` for the name of
  its class alone (pyspnego 0.12, auth.py). It gets a class that nobody calls.
* `logging.config`, with sockets and pickle: for whoever sets PYSPNEGO_LOG_CFG (pyspnego 0.12, __init__.py).

Should another version, or that variable, want more of these modules, pyspnego is given all of them.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

_NEEDLESS: Final = ("spnego._credssp", "logging.config")


def load() -> None:
    """Import pyspnego, if that has not been done."""
    if "spnego" in sys.modules:
        return
    before = set(sys.modules)
    stand_ins = {name: ModuleType(name) for name in _NEEDLESS if name not in before}
    if (credssp := stand_ins.get("spnego._credssp")) is not None:
        setattr(credssp, "CredSSPProxy", type("CredSSPProxy", (), {}))  # noqa: B010  # it is not an attribute of all modules
    sys.modules |= stand_ins
    try:
        importlib.import_module("spnego")
    except (ImportError, AttributeError):
        for name in [one for one in sys.modules if one.partition(".")[0] == "spnego" and one not in before]:
            del sys.modules[name]
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
