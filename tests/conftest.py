"""What the tests share: small phantoms, generated pictures, and where real data are."""

import os
from pathlib import Path

import pytest

from segxfer3d.data.synthetic.images import write_images
from segxfer3d.data.synthetic.phantoms import write_phantoms


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
