"""GDCM, imported before pydicom does, whatever lies in the working folder.

``gdcm.py`` asks for modules of old Pythons, ``dl`` and ``DLFCN``, and takes a folder of that name for one: pydicom, and
all that imports it, would then fail. Nothing else needs these names, so they are hidden while it is imported.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

_OLD = ("dl", "DLFCN")


def import_gdcm() -> None:
    """Import GDCM where it is installed, without its look for old modules."""
    if "gdcm" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    known = {name: modules[name] for name in _OLD if name in modules}
    try:
        modules.update(dict.fromkeys(_OLD))  # None: a module that there is not
        with suppress(ImportError):
            import_module("gdcm")
    finally:
        for name in _OLD:
            del modules[name]
        modules.update(known)
