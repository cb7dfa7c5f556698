"""Each part of ConRec's corruption against a slow version on the same parameters, and each draw by its counts."""

import doctest
import math

import numpy as np
import pytest
import torch

from segxfer3d.augment import conrec_corruption as module
from segxfer3d.augment import conrec_parts
from segxfer3d.augment.conrec_corruption import BoxCorruption, apply_corruption
from segxfer3d.errors import InputError
from tests.augment.counting import assert_all_equally_often, assert_share

SHUFFLE, IN_PAINT, OUT_PAINT, MAP = range(4)
SHAPES = [(3, (32, 24)), (1, (32, 24)), (1, (20, 16, 12)), (3, (5, 4))]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def boxes_of(rows):
    """Slices of the boxes that are not empty."""
    axes = rows.shape[1] // 2
    for row in rows.tolist():
        if min(row[axes:]) > 0:
            yield tuple(slice(start, start + size) for start, size in zip(row[:axes], row[axes:], strict=True))


# Slow versions of one image (C, *spatial)


def slow_shuffle(image, windows, keys):
    output, where = image.copy(), np.zeros(image.shape[1:])
    for number, box in enumerate(boxes_of(windows)):
        window = image[(slice(None), *box)]
        flat = window.reshape(len(image), -1)
        order = np.argsort(keys[number, : flat.shape[1]], kind="stable")
        output[(slice(None), *box)] = flat[:, order].reshape(window.shape)
        where[box] = 1
    return output, where


def slow_in_paint(image, boxes, colors):
    output, where = image.copy(), np.zeros(image.shape[1:])
    for number, box in enumerate(boxes_of(boxes)):
        output[(slice(None), *box)] = colors[number].reshape(-1, *[1] * len(box))
        where[box] = 1
    return output, where


def slow_out_paint(image, boxes, colors):
    output, where = np.empty_like(image), np.ones(image.shape[1:])
    output[:] = colors[0].reshape(-1, *[1] * (image.ndim - 1))
    for box in boxes_of(boxes):
        output[(slice(None), *box)] = image[(slice(None), *box)]
        where[box] = 0
    return output, where


def slow_map(image, controls, rising):
    t = np.linspace(0, 1, 1000)[:, None]
    curve = 3 * (1 - t) ** 2 * t * controls[0] + 3 * (1 - t) * t**2 * controls[1] + t**3
    y = curve[:, 1] if rising else curve[::-1, 1]
    return np.interp(image, curve[:, 0], y), np.ones(image.shape[1:])


def slow(image, drawn, i):
    """One image of a batch, and where."""
    kind = int(drawn.kinds[i])
    if kind == SHUFFLE:
        row = int((drawn.kinds[:i] == SHUFFLE).sum())
        return slow_shuffle(image, drawn.windows[i], drawn.keys[row].numpy())
    if kind == IN_PAINT:
        return slow_in_paint(image, drawn.in_boxes[i], drawn.colors[i].numpy())
    if kind == OUT_PAINT:
        return slow_out_paint(image, drawn.out_boxes[i], drawn.colors[i].numpy())
    return slow_map(image, drawn.controls[i].double().numpy(), bool(drawn.rising[i]))


def draw(n, channels, shape, seed=0, kind=None, **arguments):
    """A draw, with all images of one kind where it is given."""
    drawn = BoxCorruption(**arguments).draw(n, channels, shape, generator=generator(seed))
    if kind is not None:
        longest = math.prod(max(1, int(0.2 * side) - 1) for side in shape)
        keys = torch.rand((n if kind == SHUFFLE else 0, drawn.windows.shape[1], longest), generator=generator(seed))
        drawn = drawn._replace(kinds=torch.full((n,), kind), keys=keys)
    return drawn


def test_doctest():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("channels", "shape"), SHAPES)
@pytest.mark.parametrize("corrupt", [apply_corruption, module.corrupt_tensors])
def test_against_the_slow_version(channels, shape, corrupt):
    n = 40
    image = torch.rand((n, channels, *shape), generator=generator(1))
    before = image.clone()
    drawn = draw(n, channels, shape, seed=2)
    got = corrupt(image, drawn)
    assert torch.equal(image, before)
    assert set(drawn.kinds.tolist()) == set(range(4 if channels == 1 else 3))
    for i in range(n):
        expected, where = slow(image[i].numpy(), drawn, i)
        assert np.abs(got.image[i].numpy() - expected).max() < 1e-5
        assert np.array_equal(got.where[i, 0].numpy(), where)
        assert np.array_equal(got.blacked[i].numpy(), image[i].numpy() * (1 - where).astype(np.float32))


@pytest.mark.parametrize(("channels", "shape"), SHAPES)
def test_nothing_outside_where_changes(channels, shape):
    image = torch.rand((60, channels, *shape), generator=generator(1))
    got = BoxCorruption()(image, generator(3))
    assert got.where.dtype == got.image.dtype == got.blacked.dtype == torch.float32
    assert set(got.where.unique().tolist()) <= {0.0, 1.0}
    outside = (got.where == 0).expand_as(image)
    assert torch.equal(got.image[outside], image[outside])
    assert torch.equal(got.blacked[outside], image[outside])
    assert (got.blacked[~outside] == 0).all()
    assert got.image.min() >= 0
    assert got.image.max() <= 1
    assert (got.where.flatten(1).sum(1) > 0).sum() >= 50


@pytest.mark.parametrize("edges", [True, False])
def test_map_of_steep_curves_and_ends(edges):
    image = torch.rand((32, 1, 8, 8), generator=generator())
    image[:, 0, 0, :6] = torch.tensor([0, 1, 1e-9, 1 - 6e-8, 0.5, 2e-7])
    drawn = draw(32, 1, (8, 8), kind=MAP)
    if edges:
        drawn = drawn._replace(controls=drawn.controls.round())
    got = apply_corruption(image, drawn).image
    for i in range(32):
        expected, _ = slow(image[i].double().numpy(), drawn, i)
        assert np.abs(got[i].numpy() - expected).max() < 1e-5
        assert got[i, 0, 0, :2].tolist() == ([0, 1] if drawn.rising[i] else [1, 0])
    assert_share(int(draw(2000, 1, (8, 8)).rising.sum()), 2000, 0.5)


def test_every_order_of_a_window_is_equally_likely():
    n = 6000
    image = (torch.arange(16).view(1, 1, 4, 4) / 16).expand(n, 1, 4, 4)
    windows = torch.tensor([[[0, 0, 1, 3], [1, 1, 1, 2]]]).expand(n, 2, 4)
    keys = torch.rand((n, 2, 3), generator=generator())
    shuffled, where = conrec_parts.shuffle(image, windows, keys)
    for row, columns, orders in ((0, slice(0, 3), 6), (1, slice(1, 3), 2)):
        counts = torch.unique(shuffled[:, 0, row, columns], dim=0, return_counts=True)[1]
        assert len(counts) == orders
        for count in counts.tolist():
            assert_share(count, n, 1 / orders)
    assert int(where.sum()) == 5 * n


def test_seeds_repeat_and_the_default_generator_serves():
    image = torch.rand((8, 3, 16, 16), generator=generator())
    corrupt = BoxCorruption()
    assert torch.equal(corrupt(image, generator(1)).image, corrupt(image, generator(1)).image)
    torch.manual_seed(0)
    first, second = corrupt(image), corrupt(image)
    torch.manual_seed(0)
    assert torch.equal(corrupt(image).image, first.image)
    assert not torch.equal(first.image, second.image)


def test_autocast_and_gradients():
    image = torch.rand((12, 1, 16, 16), generator=generator()).requires_grad_()
    expected = BoxCorruption()(image, generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        got = BoxCorruption()(image, generator(1))
    assert torch.equal(got.image, expected.image)
    assert not got.image.requires_grad


# What is drawn


def test_kinds():
    for channels, chances in ((3, (0.33, 0.33, 0.34)), (1, (0.25,) * 4)):
        kinds = draw(4000, channels, (8, 8)).kinds
        for kind, chance in enumerate(chances):
            assert_share(int((kinds == kind).sum()), 4000, chance)
        assert kinds.max() == len(chances) - 1


def counts_of(boxes):
    return (boxes[..., boxes.shape[2] // 2 :].prod(2) > 0).sum(1).double()


@pytest.mark.parametrize(
    ("field", "most", "least", "sides", "margin"),
    [
        ("windows", 15, 0, [(1, 11), (1, 5)], 0),
        ("in_boxes", 5, 0, [(8, 11), (4, 5)], 3),
        ("out_boxes", 5, 1, [(38, 46), (20, 23)], 3),
    ],
)
def test_boxes(field, most, least, sides, margin):
    shape = (64, 32)
    boxes = getattr(draw(4000, 3, shape), field)
    assert {least, most} <= set(counts_of(boxes).tolist()) <= set(range(least, most + 1))
    real = boxes[boxes[..., 2:].prod(2) > 0]
    for axis, (low, high) in enumerate(sides):
        starts, lengths = real[:, axis], real[:, 2 + axis]
        assert_all_equally_often(lengths, low, high)
        for length in {low, high}:
            assert_all_equally_often(starts[lengths == length], margin, shape[axis] - length - margin - 1)
    assert torch.corrcoef(real[:, 2:].double().T)[0, 1].abs() < 5 / math.sqrt(len(real))


# 2,000 draws at 64x64 against the published code's 20,000: expected figure and its tolerance


@pytest.mark.parametrize(
    ("kind", "field", "mean", "tolerance", "sides", "places", "pixels"),
    [
        (SHUFFLE, "windows", 13.85, 0.45, (1, 11), (0, 62), 0.113),
        (IN_PAINT, "in_boxes", 4.30, 0.20, (8, 11), (3, 59), 0.089),
        (OUT_PAINT, "out_boxes", 4.52, 0.16, (38, 46), (3, 59), 0.366),
    ],
)
def test_numbers_sides_and_places_as_published(kind, field, mean, tolerance, sides, places, pixels):
    drawn = draw(2000, 3, (64, 64), seed=1, kind=kind)
    boxes = getattr(drawn, field)
    assert float(counts_of(boxes).mean()) == pytest.approx(mean, abs=tolerance)
    real = boxes[boxes[..., 2] > 0]
    assert (int(real[:, 2:].min()), int(real[:, 2:].max())) == sides
    assert (int(real[:, :2].min()), int((real[:, :2] + real[:, 2:]).max()) - 1) == places
    where = apply_corruption(torch.zeros(2000, 3, 64, 64), drawn).where.flatten(1).mean(1)
    assert float(where.mean()) == pytest.approx(pixels, abs=0.01)
    assert kind != OUT_PAINT or where.min() >= 0.206  # a frame always


def test_gray_images_have_all_windows():
    assert (counts_of(draw(2000, 1, (64, 64)).windows) == 15).all()


def test_one_color_image_in_fifty_stays_as_it_is():
    where = BoxCorruption()(torch.zeros(2000, 3, 64, 64), generator(1)).where
    assert float((where.flatten(1).sum(1) == 0).double().mean()) == pytest.approx(0.02, abs=0.012)


def test_small_images_have_boxes_of_at_least_one_voxel():
    drawn = draw(50, 1, (3, 2, 1))
    assert (drawn.out_boxes[:, 0, 3:] >= 1).all()
    for boxes in (drawn.windows, drawn.in_boxes, drawn.out_boxes):
        assert (boxes[:, 0, 3:] >= 1).any()
        assert (boxes[..., :3] + boxes[..., 3:] <= torch.tensor([3, 2, 1])).all()


def test_colors_are_uniform():
    colors = draw(2000, 3, (8, 8)).colors
    assert_all_equally_often((colors.flatten() * 10).floor(), 0, 9)


# Errors


def test_bad_arguments():
    with pytest.raises(InputError, match="windows is 0"):
        BoxCorruption(windows=0)
    with pytest.raises(InputError, match="boxes is -1"):
        BoxCorruption(boxes=-1)
    with pytest.raises(InputError, match="uint8"):
        BoxCorruption()(torch.zeros((1, 3, 8, 8), dtype=torch.uint8))
    with pytest.raises(InputError, match="shape"):
        BoxCorruption()(torch.zeros((3, 8, 8)))
    with pytest.raises(InputError, match="other images"):
        apply_corruption(torch.zeros((2, 3, 8, 8)), draw(3, 3, (8, 8)))
