"""Locks that a training inherits: they last until the runner and the training are both gone, however they died."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from segxfer3d.errors import InputError


class Lock:
    """An ``flock``, held through an open file.

    It belongs to the open file and not to the process, so a training that was given its number goes on holding it when
    the runner is killed; a runner that is started again waits for that training instead of starting a second one. Where
    a file system knows no locks, there is no protection.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    @staticmethod
    def take(path: Path, shared: bool = False) -> Lock | None:
        """Hold ``path`` (made where missing); None where another one holds it.

        Args:
            path: of the lock file.
            shared: hold it together with others that share it.

        Raises:
            InputError: the file cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error})") from error
        try:
            fcntl.flock(number, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return None
        except OSError:
            pass
        return Lock(number)

    def release(self) -> None:
        """Let go; a training that inherited the lock still holds it."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


def held(path: Path) -> bool:
    """Whether somebody holds ``path``; nothing is made."""
    if not path.is_file():
        return False
    lock = Lock.take(path, shared=True)
    if lock is None:
        return True
    lock.release()
    return False
