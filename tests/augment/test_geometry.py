"""Crops, flips and resizing against a slow version on the same parameters."""

import numpy as np
import pytest
import torch

from segxfer3d.augment import geometry
from segxfer3d.augment.views import CenterView
from tests.augment.slow_views import generator, images, slow_resample

SIZES = [((9, 11), (8, 7)), ((6, 5, 4), (5, 6, 3)), ((12, 12), (12, 12)), ((4, 4), (1, 9))]


@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize(
    ("resample", "nearest"),
    [(geometry.resample, False), (geometry.resample_tensors, False), (geometry.resample, True)],
)
def test_resample(shape, size, resample, nearest):
    axes, image = len(size), images(4, 2, shape)
    content = geometry.whole(image).clone()
    content[1] = torch.tensor([1] * axes + [2] * axes)
    boxes = geometry.draw_crops(content, size, (0.08, 1), (3 / 4, 4 / 3), generator())
    flips = torch.rand((4, axes), generator=generator(1)) < 0.5
    got = resample(image, geometry.positions(boxes, flips, content, size), nearest)
    for i in range(4):
        expected = slow_resample(
            image[i].double().numpy(), boxes[i].tolist(), flips[i], content[i].tolist(), size, nearest
        )
        assert np.abs(got[i].numpy() - expected).max() < 1e-5


def test_whole_image_stays():
    image = images(2, 3, (7, 9))
    view = CenterView((7, 9))({"image": image})
    assert torch.equal(view.image, image)
    box = geometry.whole(image)
    places = geometry.positions(box, torch.zeros((2, 2), dtype=torch.bool), box, (7, 9))
    assert torch.allclose(geometry.resample(image, places), image, atol=1e-5)
    turned = geometry.positions(box, torch.tensor([[False, True]] * 2), box, (7, 9))
    assert torch.allclose(geometry.resample(image, turned), image.flip(3), atol=1e-5)
    assert CenterView((4, 4))({"image": image}).plain.shape == (2, 3, 4, 4)


def test_crop_that_never_fits_is_the_whole_picture():
    content = torch.tensor([[2, 3, 40, 2]] * 50)
    boxes = geometry.draw_crops(content, (64, 64), (0.5, 1.0), (3 / 4, 4 / 3), generator())
    assert torch.equal(boxes, content.float())
