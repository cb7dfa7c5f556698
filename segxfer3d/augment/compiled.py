"""Numba with the settings that all compiled loops of this package share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a loop at its first call, keep the machine code in Numba's cache, release the GIL while it
    runs.

    Later processes load the code instead of compiling it (Numba caches beside the source file, or in the
    user's cache folder where that is read-only; NUMBA_CACHE_DIR moves it). Numba notices a change of the
    function's own file only, so compiled functions that call each other belong in one file.
    """
    return _compiled(function, False)


def compiled_sum(function: Function) -> Function:
    """:func:`compiled` for a sum whose order does not matter, so that several additions may run side by side."""
    return _compiled(function, {"reassoc"})


def compiled_finite(function: Function) -> Function:
    """:func:`compiled_sum` for numbers that are all finite, whose smallest and largest are looked for side by side."""
    return _compiled(function, {"reassoc", "nnan", "nsz"})


def compiled_fused(function: Function) -> Function:
    """:func:`compiled` with a multiplication and the addition after it in one step where the processor can, which
    rounds once instead of twice."""
    return _compiled(function, {"contract"})


def _compiled(function: Function, fastmath: bool | set[str]) -> Function:
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    loop: Function
    try:
        loop = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder that it may write to: each process compiles for itself
        loop = numba.njit(**options)(function)
    return loop
