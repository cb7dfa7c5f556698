"""What the machine has."""

from __future__ import annotations

import os

GIB = 2**30


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
