"""Short errors: two lines on the screen, and the whole trace in a file.

They are shown once :func:`show_error` is Python's ``sys.excepthook``, which a process that serves users at a command
line makes it.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from segxfer3d.config.stopping import status_of
from segxfer3d.errors import InputError

# a process that is not the first waits so long before it shows an error: the first one mostly finds the same, and
# torchrun ends all others when one has failed
SECONDS_BEHIND = 10.0

MOST_CHARACTERS = 1500  # of a message on the screen
MOST_LOGS = 10  # of errors outside of runs, in the temporary folder
_PREFIX = "segxfer3d-error-"

_hint = ""


def set_hint(text: str) -> None:
    """What a user who stops the process should know; empty for nothing."""
    global _hint
    _hint = text


def root_cause(error: BaseException) -> BaseException:
    """The InputError in a chain of exceptions, else the one that started the chain."""
    seen = set()
    current: BaseException | None = error
    last = error
    while current is not None and id(current) not in seen:
        if isinstance(current, InputError):
            return current
        seen.add(id(current))
        last = current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return last


def show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Two lines instead of a hundred: what is wrong, and where the whole trace is."""
    if isinstance(error, KeyboardInterrupt):
        print(f"stopped{'; ' if _hint else ''}{_hint}", file=sys.stderr)
        # a hook may: Python's own status for Ctrl-C depends on how it was started
        raise SystemExit(status_of(error))
    log = _keep_trace("".join(traceback.format_exception(kind, error, trace)))
    cause = root_cause(error)
    message = str(cause) if isinstance(cause, InputError) else f"{type(cause).__name__}: {cause}"
    message = shortened(message, "the trace" if log else "")
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        time.sleep(SECONDS_BEHIND)
        message = f"(process {rank}) {message}"
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    if log:
        print(f"full trace: {log}", file=sys.stderr)


def shortened(message: str, where: str = "") -> str:
    """A message as a screen takes it, with how long it was, and where the whole of it stands."""
    if len(message) <= MOST_CHARACTERS:
        return message
    whole = f", all of them in {where}" if where else ""
    return f"{message[:MOST_CHARACTERS]}... ({len(message)} characters{whole})"


def kept_and_shortened(message: str) -> str:
    """As :func:`shortened`, of a message without a trace: where it is long, a file takes the whole of it."""
    return shortened(message, _keep_trace(message + "\n")) if len(message) > MOST_CHARACTERS else message


def _keep_trace(text: str) -> str:
    """Write a trace to the run's log, else to a file of its own; gives its name, empty where nothing can be written."""
    logs = [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    try:
        if logs:
            with Path(logs[-1]).open("a", encoding="utf-8") as file:
                file.write(text)
            return logs[-1]
    except OSError:
        pass  # the disk is full: perhaps another one is not
    try:
        _forget_old_logs()
        handle, log = tempfile.mkstemp(prefix=_PREFIX, suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return ""
    return log


def _forget_old_logs() -> None:
    """Leave room for one more of a user's own logs; another process may tidy up at the same time."""
    with suppress(OSError):
        _forget_all_but(MOST_LOGS - 1)


def _forget_all_but(number: int) -> None:
    own = [path for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*.log") if path.stat().st_uid == os.getuid()]
    for path in sorted(own, key=lambda path: path.stat().st_mtime)[: max(0, len(own) - number)]:
        path.unlink(missing_ok=True)
