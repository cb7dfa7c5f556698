"""Two processes of a group, for what has to be the same in both."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing


def run_two(function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(rank, *arguments)`` in two processes at once; raises what they raise.

    They are forked, so that nothing is imported again; but beside a GPU, after whose use no fork can train, they are
    started anew.
    """
    method = "spawn" if torch.cuda.is_available() else "fork"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later: forked beside other threads
        torch.multiprocessing.start_processes(_call, (function, arguments), nprocs=2, start_method=method)


def _call(rank: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ["LOCAL_RANK"] = str(rank)  # as torchrun says it
    torch.set_num_threads(1)  # those of the process that was forked are not there
    function(rank, *arguments)
