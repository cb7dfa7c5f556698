"""Whole views against slow versions on the same parameters, and each draw by its counts."""

import doctest
import math

import numpy as np
import pytest
import torch

from segxfer3d.augment import geometry, views
from segxfer3d.augment.geometry import as_float
from segxfer3d.augment.views import CenterView, RandomViews, apply_views
from segxfer3d.errors import InputError
from tests.augment.counting import assert_share, assert_uniform
from tests.augment.slow_views import generator, images, slow_bicubic, slow_blur, slow_part, slow_resample


def test_doctests():
    assert doctest.testmod(views, extraglobs={"torch": torch}).failed == 0


# Whole views


@pytest.mark.parametrize("interpolation", ["bicubic", "antialiased"])
@pytest.mark.parametrize(
    ("channels", "shape", "size"), [(3, (24, 20), (20, 20)), (1, (24, 24), (20, 16)), (1, (22, 20, 12), (20, 16, 8))]
)
def test_views_are_the_parts_in_order(channels, shape, size, interpolation):
    image = (images(6, channels, shape) * 255).to(torch.uint8)
    before = image.clone()
    maker = RandomViews(size)
    drawn = maker.draw(geometry.whole(image), generator(4), channels=channels)
    view = apply_views(image, drawn, size, interpolation)
    assert torch.equal(image, before)
    for result in view:
        assert result.dtype == torch.float32
        assert result.shape == (6, channels, *size)
        assert result.min() >= 0
        assert result.max() <= 1
    for i in range(6):
        picture, box, flips = image[i].double().numpy() / 255, drawn.boxes[i].tolist(), drawn.flips[i]
        if interpolation == "bicubic" and len(size) == 2:
            expected = slow_bicubic(picture, box, flips, size)
        else:
            expected = slow_resample(picture, box, flips, drawn.content[i].tolist(), size)
        # places between pixels are rounded to 1024ths
        assert np.abs(view.plain[i].numpy() - expected).max() < 2e-3
        expected = view.plain[i].double().numpy()
        for part in drawn.order[i].tolist() if drawn.jittered[i] else []:
            expected = slow_part(expected, part, drawn.factors[i, part].item())
        expected = expected.clip(0, 1)
        if drawn.gray[i] and channels == 3:
            expected = (0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2])[None].repeat(3, 0)
        if drawn.blurred[i]:
            expected = slow_blur(expected, drawn.sigma[i].item(), 1)
        assert np.abs(view.image[i].numpy() - expected).max() < 5e-5


def test_seeds_repeat_and_calls_differ():
    batch, maker = {"image": images(4, 3, (12, 12))}, RandomViews((12, 12))
    a, b = maker(batch, generator(1)), maker(batch, generator(1))
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.plain, b.plain)
    torch.manual_seed(3)
    first, second = maker(batch), maker(batch)
    torch.manual_seed(3)
    assert torch.equal(maker(batch).image, first.image)
    assert not torch.equal(first.image, second.image)


def test_autocast_and_gradients_do_not_touch_views():
    batch, maker = {"image": images(4, 3, (12, 12)).requires_grad_()}, RandomViews((12, 12))
    expected = maker(batch, generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        got = maker(batch, generator(1))
    assert torch.equal(got.image, expected.image)
    assert not got.image.requires_grad


def test_padding_is_never_seen():
    content = torch.tensor([[3, 0, 6, 12], [0, 5, 12, 2], [4, 4, 1, 1]])
    image = torch.zeros((3, 3, 12, 12))
    for picture, (top, left, height, width) in zip(image, content.tolist(), strict=True):
        picture[:, top : top + height, left : left + width] = 1
    for seed in range(20):
        view = RandomViews((12, 12))({"image": image, "content": content}, generator(seed))
        assert torch.allclose(view.plain, torch.ones(()), atol=1e-5)


def test_chances_off_give_plain_views():
    batch = {"image": images(8, 3, (20, 20))}
    view = RandomViews((20, 20), jitter=0, gray=0, blur=0)(batch, generator())
    assert torch.equal(view.image, view.plain)
    same = RandomViews((20, 20), area=(1, 1), ratio=(1, 1), flip_axes=[], jitter=0, gray=0, blur=0)(batch)
    assert torch.allclose(same.image, batch["image"], atol=1e-5)


# What is drawn

DRAWS = 4000


@pytest.fixture(scope="module")
def drawn():
    content = torch.tensor([[0, 0, 64, 64]]).expand(DRAWS, -1)
    return RandomViews((64, 64), strength=0.5).draw(content, generator())


def test_chances(drawn):
    assert_share(int(drawn.jittered.sum()), DRAWS, 0.8)
    assert_share(int(drawn.gray.sum()), DRAWS, 0.2)
    assert_share(int(drawn.blurred.sum()), DRAWS, 0.5)
    assert not drawn.flips[:, 0].any()
    assert_share(int(drawn.flips[:, 1].sum()), DRAWS, 0.5)
    coins = torch.stack([drawn.jittered, drawn.gray, drawn.blurred, drawn.flips[:, 1]]).double()
    assert (torch.corrcoef(coins) - torch.eye(4)).abs().max() < 5 / math.sqrt(DRAWS)


def test_color_parameters(drawn):
    for column in range(3):
        assert_uniform(drawn.factors[:, column], 0.6, 1.4)
    assert_uniform(drawn.factors[:, 3], -0.1, 0.1)
    assert_uniform(drawn.sigma, 0.1, 2.0)
    counts = torch.unique(drawn.order, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    for count in counts.tolist():
        assert_share(count, DRAWS, 1 / 24)
    strong = RandomViews((8, 8), strength=1.5).draw(torch.tensor([[0, 0, 8, 8]] * 100), generator())
    assert strong.factors[:, :3].min() >= 0
    assert strong.factors[:, :3].max() > 2


def test_crops_of_volumes():
    content = torch.tensor([[0, 0, 0, 64, 64, 32]]).expand(DRAWS, -1)
    drawn = RandomViews((64, 64, 32)).draw(content, generator())
    x, y, z = (drawn.boxes[:, 3:] / torch.tensor([64, 64, 32])).double().T
    share = x * y * z
    small = share < 0.3
    assert_uniform(share[small], 0.08, 0.3)
    bounds = math.log(3 / 4), math.log(4 / 3)
    assert_uniform(torch.log(y / x)[small], *bounds)
    assert_uniform(torch.log(z / (x * y).sqrt())[small], *bounds)
    assert_share(int(drawn.flips[:, 0].sum()), DRAWS, 0.5)
    assert_share(int(drawn.flips[:, 1].sum()), DRAWS, 0.5)
    assert not drawn.flips[:, 2].any()


# Gray images


def test_gray_views_change_always_and_are_never_blurred():
    """Contrast, then brightness, clipped once: fewer than 2 % keep their brightness."""
    drawn = RandomViews((64, 64)).draw(torch.tensor([[0, 0, 64, 64]]).expand(DRAWS, -1), generator(), channels=1)
    assert drawn.jittered.all()
    assert not drawn.blurred.any()
    assert (drawn.order[:, 0] == 1).all()
    assert (drawn.order[:, 1] == 0).all()
    image = torch.full((DRAWS, 1, 12, 12), 0.4)
    view = RandomViews((12, 12))({"image": image}, generator(1)).image
    unchanged = (view[:, 0, 6, 6] / 0.4 - 1).abs() < 0.005
    assert float(unchanged.double().mean()) < 0.02
    once = RandomViews((2, 2), area=(1, 1), ratio=(1, 1), flip_axes=[])
    part = once.draw(torch.tensor([[0, 0, 2, 2]]), generator(), channels=1)
    part = part._replace(factors=torch.tensor([[0.5, 1.8, 1, 0]]))
    got = apply_views(torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]]), part, (2, 2)).image
    assert torch.allclose(got.flatten(), torch.tensor([0.0, 0.6, 0.6, 0.6]))  # 1.2 before brightness


def test_the_whole_image_of_a_padded_batch():
    image = torch.zeros((2, 3, 24, 32), dtype=torch.uint8)
    image[0, :, :24, :16], image[1] = 255, 255
    view = CenterView((8, 8))({"image": image, "content": torch.tensor([[0, 0, 24, 16], [0, 0, 24, 32]])}).image
    inside = torch.zeros((2, 8, 8))
    inside[0, :, 1:6], inside[1, 1:7] = 1, 1
    assert torch.allclose(view, inside[:, None].expand_as(view))


@pytest.mark.parametrize("beside", [(3, 64, 64), (3, 64, 40), (3, 20, 64), (3, 30, 30)])
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 64, 48), (3, 40, 64), (3, 64, 64), (3, 100, 30)])
def test_the_whole_image_is_the_same_whatever_is_in_its_batch(shape, beside):
    """Batches hold images of several sizes at the top left of the largest."""

    def alone_and(*images):
        sides = [max(image.shape[axis] for image in images) for axis in (1, 2)]
        batch = torch.zeros((len(images), 3, *sides), dtype=torch.uint8)
        for row, image in enumerate(images):
            batch[row, :, : image.shape[1], : image.shape[2]] = image
        content = torch.tensor([[0, 0, *image.shape[1:]] for image in images])
        return CenterView((64, 64))({"image": batch, "content": content}).image[0]

    image, other = (torch.randint(1, 256, each, dtype=torch.uint8, generator=generator(1)) for each in (shape, beside))
    assert torch.equal(alone_and(image), alone_and(image, other))


def test_an_image_that_is_padded_already_is_not_resampled():
    """As those are that are stored at the size."""
    image = torch.zeros((2, 3, 64, 64), dtype=torch.uint8)
    image[:, :, 10:53], image[1, :, :10] = 200, 7
    content = torch.tensor([[10, 0, 43, 64], [0, 0, 64, 64]])
    view = CenterView((64, 64))({"image": image, "content": content}).image
    assert torch.equal(view, as_float(image))


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": [8]}, "size"),
        ({"size": [8, 0]}, "size"),
        ({"size": [8, 8], "area": (0, 1)}, "area"),
        ({"size": [8, 8], "area": (0.5, 2)}, "area"),
        ({"size": [8, 8], "ratio": (2, 1)}, "ratio"),
        ({"size": [8, 8], "flip_axes": [2]}, "flip_axes"),
        ({"size": [8, 8], "gray": 1.1}, r"gray is 1\.1"),
        ({"size": [8, 8], "strength": 2}, "strength"),
        ({"size": [8, 8], "interpolation": "linear"}, "interpolation is 'linear'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        RandomViews(**arguments)


def test_bad_batches():
    maker = RandomViews((8, 8))
    with pytest.raises(InputError, match="shape"):
        maker({"image": torch.zeros(2, 1, 8, 8, 8)})
    with pytest.raises(InputError, match="int64"):
        maker({"image": torch.zeros(2, 1, 8, 8, dtype=torch.int64)})
    with pytest.raises(InputError, match="content"):
        maker({"image": torch.zeros(2, 1, 8, 8), "content": torch.zeros(2, 6)})
    with pytest.raises(InputError, match="drawn"):
        apply_views(torch.zeros(2, 1, 8, 8), maker.draw(torch.tensor([[0, 0, 8, 8]])), (8, 8))
