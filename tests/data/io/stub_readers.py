"""Readers that misbehave, for tests of the guard; no file is needed."""

import os
import time

import numpy as np


def fills(allocate, value):
    allocate((2, 3), np.dtype("int16"))[...] = value
    return {"pid": os.getpid()}


def ends(allocate, status):
    os._exit(status)


def aborts(allocate):
    os.abort()


def hoards(allocate, count):
    np.ones(count, np.uint8)
    allocate((1,), np.dtype("uint8"))


def sleeps(allocate, duration):
    time.sleep(duration)


def raises(allocate):
    raise RuntimeError("line one\nno such pixel")
