"""The ordinary loader of the benchmark does as much as the whole-batch views do: the published distributions."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import slow_views

DRAWS = 1500


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002


@pytest.mark.parametrize(("kind", "share"), [("shuffle", 0.113), ("in_paint", 0.089), ("out_paint", 0.366)])
def test_as_many_pixels_are_corrupted_as_published(kind, share):
    image = np.zeros((3, 64, 64), np.float32)
    total, touched = 0.0, np.zeros((64, 64), bool)
    for _ in range(DRAWS):
        where = np.zeros((1, 64, 64), np.float32)
        getattr(slow_views, kind)(image, where)
        total += where.mean()
        touched |= where[0] > 0
    assert total / DRAWS == pytest.approx(share, rel=0.04)
    rows = np.flatnonzero(touched.any(axis=1))
    assert (rows[0], rows[-1]) == {"shuffle": (0, 62), "in_paint": (3, 59), "out_paint": (0, 63)}[kind]


def test_crops_are_as_large_as_published(monkeypatch):
    areas = []
    crop = Image.Image.crop
    monkeypatch.setattr(
        Image.Image, "crop", lambda self, box: areas.append((box[2] - box[0]) * (box[3] - box[1])) or crop(self, box)
    )
    image = Image.fromarray(np.zeros((128, 128, 3), np.uint8))
    for _ in range(DRAWS):
        slow_views.random_resized_crop(image, 8)
    share = np.array(areas) / 128**2
    assert share.min() > 0.093
    assert share.mean() == pytest.approx(0.420, abs=0.02)
    assert (share < 0.25).mean() == pytest.approx(0.304, abs=0.035)


def test_colors_and_borders_change_as_published():
    one_color = Image.fromarray(np.full((8, 8, 3), (102, 38, 26), np.uint8))
    for _ in range(100):
        changed = np.asarray(slow_views.jitter(one_color, 1.0))
        assert (changed == changed[0, 0]).all()
        assert changed.max() <= 1.8 * 102 + 3  # saturation leaves the largest channel
    blurred = np.asarray(slow_views.blur(Image.fromarray(np.full((64, 64, 3), 200, np.uint8)), 2.0))
    assert blurred[0, 0, 0] < 0.5 * 200
    assert blurred[32, 32, 0] == 200
