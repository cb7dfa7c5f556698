"""What the machine has."""

from __future__ import annotations

import os

GIB = 2**30


def size_text(count: float) -> str:
    """So many bytes in words: GiB, or MB below a tenth of one.

    Example:
        >>> size_text(3 * GIB), size_text(340_000)
        ('3.00 GiB', '0.34 MB')
    """
    return f"{count / GIB:.2f} GiB" if count >= GIB / 10 else f"{count / 1e6:.2f} MB"


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
