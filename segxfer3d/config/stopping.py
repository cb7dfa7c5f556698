"""Being asked to stop: Ctrl-C, and what batch systems and closed terminals send (SIGTERM, SIGHUP).

A process that serves users at a command line ends at once, as :class:`Stopped`, whatever it does. While it trains it
waits for the end of a step, so that its state can be kept: :func:`waiting` says when that is, :func:`stop_if_asked` is
where it ends. Being asked twice ends it at once.
"""

from __future__ import annotations

import atexit
import logging
import mmap
import os
import signal
import threading
from types import FrameType

from segxfer3d.errors import STOPPED

logger = logging.getLogger("segxfer3d")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_waits = mmap.mmap(-1, 1)  # 1 while this process waits: one byte that the processes forked from it see too
_asked = 0


class Stopped(KeyboardInterrupt):
    """Somebody asked the process to stop.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells know it by: 130, 143, 129."""
        return 128 + self.number


def status_of(error: KeyboardInterrupt) -> int:
    """The exit status of a process that this ended."""
    return error.status if isinstance(error, Stopped) else STOPPED


def install() -> None:
    """From here on, this process stops as it is asked; only its main thread can say so. What it was started to ignore
    (``nohup``) it ignores."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, _handle):
            signal.signal(number, _handle)


def _handle(number: int, _: FrameType | None) -> None:
    global _asked
    if _waits[0] and not _asked:
        _asked = number
        logger.info("stopping at the end of this step, whose state is kept; once more stops at once")
        return
    raise Stopped(number)


def wait(waits: bool) -> None:
    """Whether being asked to stop waits, from here on, for :func:`stop_if_asked`; where it does not, what was asked is
    forgotten."""
    global _waits, _asked
    if waits and not _waits[0]:
        _waits = mmap.mmap(-1, 1)  # another one: what was forked for an earlier training is needed no more
    _waits[0] = waits
    if not waits:
        _asked = 0


@atexit.register
def _wait_no_more() -> None:
    """Whatever a process ends by, those that were forked from it end with it."""
    wait(False)


def asked() -> bool:
    """Whether the process was asked to stop, and waits."""
    return bool(_asked)


def stop_if_asked() -> None:
    """Where a process that waits can end.

    Raises:
        Stopped: it was asked to.
    """
    if number := _asked:
        wait(False)
        raise Stopped(number)


def end_unless_waiting(_: int, __: FrameType | None) -> None:
    """What a process that was forked from one which waits does with a signal: nothing while that one waits, which was
    asked too and still needs it. Else it ends without an error, as torch has its loader processes end."""
    if not _waits[0]:
        os._exit(0)
