"""The one exception for input that a user can mend, and how its messages list things."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: a file, a folder, a knob or a checkpoint that cannot be used.

    The message stands alone: it names the culprit (the path or the knob) and says what was expected, so that
    the command line can show it without a traceback.
    """


def some(items: Iterable[object], most: int = 10, separator: str = "; ") -> str:
    """Join what a message lists: the first ``most`` of it, and how many more there are.

    Example:
        >>> some("abcd", 2, ", ")
        'a, b, and 2 more'
    """
    texts = [str(item) for item in items]
    rest = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return separator.join(texts[:most] + rest)
