"""The clock of the baseline: user CPU seconds of this process."""

from __future__ import annotations

import resource


def user_seconds() -> float:
    """User CPU seconds of this process so far, all of its threads together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime
