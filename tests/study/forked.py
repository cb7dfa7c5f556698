"""Trainings as children of the test's own process, which has imported what they need already."""

import os
import subprocess
import sys
import time
import traceback
import warnings
from contextlib import contextmanager

from segxfer3d.run.worker import Job, become, warm_up
from segxfer3d.study.launching import LIBRARIES, PYTHON


class ForkedProcess:
    def __init__(self, pid):
        self.pid = pid
        self.code = None

    def poll(self):
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self, timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return self.code


class ForkedProcesses:
    """A way to start trainings, as :class:`segxfer3d.study.launching.Processes` shows it."""

    def start(self, command, *, output, environment, inherited):
        assert command[: len(PYTHON)] == PYTHON
        module, *arguments = command[len(PYTHON) :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of imports; Python 3.12 and later: forked beside other threads
            warm_up(LIBRARIES)
            pid = os.fork()
        if pid == 0:
            _train(Job(module, arguments, dict(environment), [os.dup(output.fileno()), *inherited]))
        return ForkedProcess(pid)


def _train(job):
    """What a worker's child does, and then no more: nothing of pytest may come after it."""
    code = 1
    try:
        warnings.simplefilter("ignore")
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        become(job)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def started_from(configs, *, fresh=False):
    """In place of :func:`segxfer3d.study.launching.started_from`."""
    yield ForkedProcesses()
