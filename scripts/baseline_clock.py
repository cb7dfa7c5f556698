"""The clock of the baseline: user CPU seconds of this process, and of a training loop."""

from __future__ import annotations

import resource
import time
from typing import Any

from ignite.engine import Engine, Events


def user_seconds() -> float:
    """User CPU seconds of this process so far, all of its threads together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


class LoopClock:
    """User CPU seconds of an engine's loop: from asking for a batch to the end of its step, summed over all steps.

    Validation, records and states between two epochs do not count, as they do not for nnU-Net.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall_seconds = 0.0
        self.steps = 0
        self._start = (0.0, 0.0)

    def run(self, trainer: Any) -> None:
        """Run an engine and clock it; what else hangs on it is timed too."""
        trainer.add_event_handler(Events.GET_BATCH_STARTED, self._begin)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._end)
        trainer.run()

    def _begin(self, _: Engine) -> None:
        self._start = user_seconds(), time.perf_counter()

    def _end(self, _: Engine) -> None:
        self.seconds += user_seconds() - self._start[0]
        self.wall_seconds += time.perf_counter() - self._start[1]
        self.steps += 1


loop = LoopClock()  # of the one training of a process
