"""Images at their own sizes: decoded once, in memory or on demand, and batches of them."""

import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.dataset import collate
from segxfer3d.data.preprocessing import held_images
from segxfer3d.data.preprocessing.held_images import HeldImages, KeptImages
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, square

SHAPES = [(12, 16), (20, 8), (9, 9)]


@pytest.fixture
def images(tmp_path):
    """Three color images of different sizes."""
    cases = []
    for number, shape in enumerate(SHAPES):
        pixels = np.random.default_rng(number).integers(0, 256, (*shape, 3), dtype=np.uint8)
        cases.append(Case(f"i{number}", save(tmp_path / f"i{number}.png", pixels), category=number % 2))
    return CaseSet(tmp_path, "folder", 2, tuple(cases), categories=("even", "odd"))


def test_items_are_the_files_pixels(images):
    held = HeldImages(images, None, labels=False, progress=False)
    assert (held.on_demand, held.bytes) == (0, sum(3 * height * width for height, width in SHAPES))
    for number, (height, width) in enumerate(SHAPES):
        expected = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert torch.equal(held[number]["image"], torch.from_numpy(expected).permute(2, 0, 1))
        assert held[number]["content"].tolist() == [0, 0, height, width]
        assert int(held[number]["category"]) == number % 2


def test_a_check_and_what_holds_open_a_file_once(images, monkeypatch):
    kept = KeptImages(None)
    check(images, progress=False, keep=kept)
    monkeypatch.setattr(held_images, "load_image", lambda *_, **__: pytest.fail("opened again"))
    held = HeldImages(images, None, cases=images.cases[1:], labels=False, progress=False, kept=kept)
    assert [tuple(item["image"].shape) for item in held] == [(3, 20, 8), (3, 9, 9)]


def test_what_does_not_fit_is_decoded_on_demand(images, monkeypatch):
    whole = HeldImages(images, None, labels=False, progress=False)
    kept = KeptImages(None, limit=600)  # the first image and no other
    for case in images.cases:
        kept(case, held_images.load_image(case, images))
    part = HeldImages(images, None, labels=False, progress=False, kept=kept)
    assert (part.on_demand, part.bytes) == (2, 576)
    for number in range(3):
        assert all(torch.equal(part[number][key], whole[number][key]) for key in whole[number])
    monkeypatch.setattr(held_images, "memory_limit", lambda: 0)
    assert HeldImages(images, None, labels=False, progress=False).on_demand == 3


def test_labels_need_a_size(tmp_path):
    case = Case("a", save(tmp_path / "a.png", noise()), save(tmp_path / "m.png", square()))
    with pytest.raises(InputError, match="canvas_size: expected a number of pixels"):
        HeldImages(CaseSet(tmp_path, "folder", 2, (case,)), None, progress=False)


def test_batches_are_padded_at_the_far_ends(images):
    held = HeldImages(images, None, labels=False, progress=False)
    batch = collate([held[index] for index in range(3)])
    assert batch["image"].shape == (3, 3, 20, 16)
    for row, item in zip(batch["image"], held, strict=True):
        _, height, width = item["image"].shape
        assert torch.equal(row[:, :height, :width], item["image"])
        assert int(row.sum()) == int(item["image"].sum())
    assert batch["content"].tolist() == [[0, 0, *shape] for shape in SHAPES]
    assert batch["index"].tolist() == [0, 1, 2]
    same = collate([held[0], held[0]])
    assert torch.equal(same["image"][1], held[0]["image"])
