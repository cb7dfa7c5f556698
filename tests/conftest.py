"""What the tests share: small phantoms, generated pictures, and where real data are."""

import os
import sys
from pathlib import Path

import pytest

from segxfer3d.data.synthetic.images import write_images
from segxfer3d.data.synthetic.phantoms import write_phantoms

THREADS = "OMP_NUM_THREADS"
SAID = THREADS in os.environ
os.environ.setdefault("SEGXFER3D_AMP", "False")  # tests give the same whatever this machine is faster in
usual = pytest.StashKey[int]()


def pytest_collection_finish(session):
    if "torch" in sys.modules:
        session.stash[usual] = sys.modules["torch"].get_num_threads()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A thread for each of pytest's processes and of those that a test starts, but a test that is slow or of real data
    has the usual number.

    With as many threads as cores in each of them, tiny trainings mostly wait for one another. Where OMP_NUM_THREADS is
    set, all tests keep to it.
    """
    if SAID:
        return
    slow = any(item.get_closest_marker(mark) for mark in ("slow", "data"))
    if slow:
        os.environ.pop(THREADS, None)
    else:
        os.environ[THREADS] = "1"  # read by what is loaded from here on
    if usual in item.session.stash:
        sys.modules["torch"].set_num_threads(item.session.stash[usual] if slow else 1)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Phantom CTs of eight patients."""
    return write_phantoms(tmp_path_factory.mktemp("data"), patients=8, seed=3)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """Thirty generated pictures of five classes, with masks."""
    return write_images(tmp_path_factory.mktemp("data"), 30, size=24)


@pytest.fixture
def real_data() -> Path:
    """The folder with real data; skips without it."""
    folder = os.environ.get("SEGXFER3D_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEGXFER3D_DATA names no folder")
    return Path(folder)
