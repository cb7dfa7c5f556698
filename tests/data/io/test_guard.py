import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from segxfer3d.data.io import guard, worker
from segxfer3d.errors import InputError

FILE = Path("a.mha")


def call(name, **arguments):
    return guard.call(f"tests.data.io.stub_readers:{name}", FILE, size=100, **arguments)


def test_one_process_serves_many_files():
    array, first = call("fills", value=5)
    np.testing.assert_array_equal(array, np.full((2, 3), 5, np.int16))
    array[0, 0] = 1  # the memory is the caller's
    assert call("fills", value=6)[1] == first != {"pid": os.getpid()}
    assert array[0, 0] == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ends", {"status": 3}, r"a\.mha: cannot be read, damaged: its reader crashed \(exit status 3\)"),
        ("ends", {"status": 0}, r"its reader crashed \(exit status 0\)"),
        ("aborts", {}, r"its reader crashed \(signal 6\)"),
        ("hoards", {"count": 4 * 2**30}, r"it asks for more memory than its header says"),
        ("sleeps", {"duration": 60, "seconds": 1}, r"its reader took more than 1 seconds"),
        ("raises", {}, r"a\.mha: cannot be read, damaged or truncated \(no such pixel\)"),
    ],
)
def test_a_reader_that_misbehaves_is_an_error_and_the_next_file_is_read(name, arguments, message):
    with pytest.raises(InputError, match=message):
        call(name, **arguments)
    np.testing.assert_array_equal(call("fills", value=7)[0], 7)


def test_the_time_of_a_reader_begins_when_its_library_is_there(monkeypatch):
    """The first of a module takes as long as the import does."""
    asked = []
    ask = guard._Worker.ask

    def noted(self, request, seconds):
        asked.append((request.get("module"), seconds))
        return ask(self, request, seconds)

    monkeypatch.setattr(guard._Worker, "ask", noted)
    monkeypatch.setattr(guard, "_idle", [])
    call("fills", value=1, seconds=9)
    call("fills", value=2, seconds=9)
    assert asked == [("tests.data.io.stub_readers", 120.0), (None, 9), (None, 9)]
    guard._end_all()


def test_threads_do_not_mix_their_files():
    with ThreadPoolExecutor(4) as pool:
        for value, (array, _) in zip(range(40), pool.map(lambda v: call("fills", value=v), range(40)), strict=True):
            assert (array == value).all()


def test_without_shared_memory_the_reader_runs_here(monkeypatch):
    monkeypatch.delattr(worker.socket, "send_fds")
    array, about = call("fills", value=3)
    assert (array == 3).all()
    assert about == {"pid": os.getpid()}


def test_a_volume_larger_than_memory():
    with pytest.raises(InputError, match=r"a\.mha: a volume of 100000x100000x100000 voxels would take 1\.863e\+06 GiB"):
        guard.require_memory(FILE, (100000, 100000, 100000), np.dtype("int16"))
