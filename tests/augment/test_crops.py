"""Crops are drawn and resized as the published code does it; both ways of resizing are the slow one."""

import math

import numpy as np
import pytest
import torch

from segxfer3d.augment import crops
from tests.augment.counting import assert_uniform
from tests.augment.slow_views import generator, images, slow_bicubic

DRAWS = 2000
BOUNDS = (0.08, 1.0), (3 / 4, 4 / 3)


def drawn(shape, number=DRAWS, size=(64, 64), seed=0):
    content = torch.tensor([[2, 5, *shape]]).expand(number, -1)
    return crops.draw_image_crops(content, size, *BOUNDS, generator(seed))


@pytest.mark.parametrize(("shape", "mean", "small"), [((256, 256), 0.420, 0.30), ((256, 512), 0.285, None)])
def test_areas_as_published(shape, mean, small):
    """Drawn by area, as elsewhere, they are larger: 0.300 to 0.307 of an image of 1 to 2."""
    boxes = drawn(shape, number=10 * DRAWS)
    area = boxes[:, 2] * boxes[:, 3] / math.prod(shape)
    assert area.min() > 0.093
    assert float(area.mean()) == pytest.approx(mean, abs=0.008)
    if small:
        assert float((area < 0.25).double().mean()) == pytest.approx(small, abs=0.012)


def test_whole_pixels_inside_the_picture():
    boxes = drawn((100, 140), size=(32, 64))
    assert torch.equal(boxes, boxes.round())
    assert (boxes[:, :2] >= torch.tensor([2, 5])).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= torch.tensor([102, 145])).all()
    stretch = boxes[:, 3] / boxes[:, 2] / 2
    rounding = 1 + 1 / boxes[:, 3].min()
    assert 3 / 4 / rounding <= stretch.min()
    assert stretch.max() <= 4 / 3 * rounding


def test_places_and_heights_are_uniform():
    boxes = drawn((512, 512), 4000).double()
    room = 512 - boxes[:, 2:]
    for axis in range(2):
        assert_uniform(((boxes[:, axis] - (2, 5)[axis] + 0.5) / room[:, axis].clamp(min=1)).clamp(max=1), 0, 1)
    wide = boxes[:, 3] / boxes[:, 2] > 1.2  # as wide as the picture allows
    ratio = boxes[wide, 3] / boxes[wide, 2]
    low, high = 512 * (crops.COVERED / ratio).sqrt(), 512 / ratio
    shares = ((boxes[wide, 2] - low) / (high - low)).clamp(0, 1)
    assert_uniform(shares, 0, 1)


def test_a_picture_that_no_crop_fits_stays_whole():
    boxes = drawn((4, 100), 50)
    assert torch.equal(boxes, torch.tensor([[2.0, 5, 4, 100]]).expand(50, -1))


@pytest.mark.parametrize("resample", [crops.resample_bicubic, crops.resample_bicubic_tensors])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_against_the_slow_version(resample, kind):
    image = images(6, 3, (30, 26))
    image = (image * 255).to(torch.uint8) if kind == torch.uint8 else image
    boxes = crops.draw_image_crops(torch.tensor([[1, 2, 28, 24]]).expand(6, -1), (12, 9), *BOUNDS, generator())
    boxes[0] = torch.tensor([3, 4, 2, 1])  # of fewer pixels than a view, and no neighbors
    flips = torch.rand((6, 2), generator=generator(1)) < 0.5
    got = resample(image, boxes, flips, (12, 9))
    pictures = image.double().numpy() / (255 if kind == torch.uint8 else 1)
    for i in range(6):
        expected = slow_bicubic(pictures[i], boxes[i].tolist(), flips[i], (12, 9))
        assert np.abs(got[i].numpy() - expected).max() < 2e-3  # places are rounded to 1024ths


def test_an_edge_overshoots():
    image = torch.full((1, 3, 16, 16), 0.25)
    image[..., 8:] = 0.75
    boxes, flips = torch.tensor([[0.0, 0, 16, 16]]), torch.zeros((1, 2), dtype=torch.bool)
    large = crops.resample_bicubic(image, boxes, flips, (64, 64))
    assert large.max() > 0.76
    assert large.min() < 0.24
    assert torch.equal(crops.resample_bicubic(image, boxes, flips, (16, 16)), image)


def test_nothing_is_smoothed_and_the_first_pixel_is_the_first():
    image = torch.rand((1, 1, 64, 64), generator=generator())
    boxes, flips = torch.tensor([[0.0, 0, 64, 64]]), torch.zeros((1, 2), dtype=torch.bool)
    small = crops.resample_bicubic(image, boxes, flips, (16, 16))
    assert torch.equal(small, image[:, :, ::4, ::4])
