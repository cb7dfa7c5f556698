"""Each part of the views against a slow version on the same parameters, and each draw by its counts."""

import colorsys
import doctest
import itertools
import math

import numpy as np
import pytest
import torch

from segxfer3d.augment import color, geometry, views
from segxfer3d.augment.finetune_views import FinetuneViews
from segxfer3d.augment.views import CenterView, RandomViews, apply_views
from segxfer3d.errors import InputError

SIZES = [((9, 11), (8, 7)), ((6, 5, 4), (5, 6, 3)), ((12, 12), (12, 12)), ((4, 4), (1, 9))]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n, channels, shape, seed=0):
    return torch.rand((n, channels, *shape), generator=generator(seed))


def assert_share(hits, trials, chance):
    """Within 5 standard deviations."""
    assert abs(hits - trials * chance) <= 5 * math.sqrt(trials * chance * (1 - chance)) + 1e-9, (hits, trials, chance)


def assert_uniform(values, low, high, bins=10):
    """Real numbers, equally often in each part of the range."""
    values = np.asarray(values)
    assert values.min() >= low - 1e-5
    assert values.max() <= high + 1e-5
    counts = np.histogram(values, bins=bins, range=(low - 1e-5, high + 1e-5))[0]
    for count in counts:
        assert_share(count, len(values), 1 / bins)


# Slow versions


def slow_resample(image, box, flips, content, size, nearest=False):
    """(C, *spatial) voxel by voxel."""
    axes = len(size)
    output = np.zeros((len(image), *size))
    for place in itertools.product(*(range(side) for side in size)):
        corners = []
        for axis in range(axes):
            share = (place[axis] + 0.5) / size[axis]
            share = 1 - share if flips[axis] else share
            at = box[axis] + share * box[axes + axis] - 0.5
            at = min(max(at, content[axis]), content[axis] + content[axes + axis] - 1)
            low = min(math.floor(at), image.shape[1 + axis] - 1)
            high = min(low + 1, image.shape[1 + axis] - 1)
            corners.append([(round(at), 1.0)] if nearest else [(low, 1 - (at - low)), (high, at - low)])
        for corner in itertools.product(*corners):
            weight = math.prod(part[1] for part in corner)
            output[(slice(None), *place)] += weight * image[(slice(None), *(part[0] for part in corner))]
    return output


def slow_part(image, part, factor):
    """One part of the jitter of one image (C, *spatial)."""
    has_color = len(image) == 3 and image.ndim == 3
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2] if has_color else image.mean(0)
    if part == 0:
        image = image * factor
    elif part == 1:
        image = gray.mean() + factor * (image - gray.mean())
    elif has_color and part == 2:
        image = gray + factor * (image - gray)
    elif has_color and part == 3:
        image = image.copy()
        for place in np.ndindex(*image.shape[1:]):
            h, s, v = colorsys.rgb_to_hsv(*image[(slice(None), *place)])
            image[(slice(None), *place)] = colorsys.hsv_to_rgb((h + factor) % 1, s, v)
    return image.clip(0, 1)


def slow_blur(image, sigma, radius):
    """One image (C, *spatial), one axis after the other."""
    weights = np.array([math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)])
    weights /= weights.sum()
    for axis in range(1, image.ndim):
        pad = [(radius, radius) if other == axis else (0, 0) for other in range(image.ndim)]
        wide = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        image = sum(w * wide.take(range(i, i + length), axis) for i, w in enumerate(weights))
    return image


def test_doctests():
    assert doctest.testmod(views, extraglobs={"torch": torch}).failed == 0


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


@pytest.mark.parametrize(("channels", "shape"), [(3, (6, 5)), (1, (6, 5)), (2, (4, 5)), (1, (4, 3, 5)), (3, (4, 3, 2))])
@pytest.mark.parametrize("jitter", [color.jitter_, color.jitter_tensors_])
def test_jitter(channels, shape, jitter):
    orders = torch.tensor(list(itertools.permutations(range(4))))
    n = len(orders)
    image = images(n, channels, shape)
    image[0, :, 0] = 0.5  # gray pixels have no hue
    image[1, :, 0] = torch.tensor([0.0, 1.0, 1.0])[:channels].view(-1, *[1] * (len(shape) - 1))
    factors = torch.rand((n, 4), generator=generator(3)) * 1.6 + 0.2
    factors[:, 3] = torch.linspace(-0.3, 0.3, n)
    chosen = torch.ones(n, dtype=torch.bool)
    chosen[5] = False
    got = jitter(image.clone(), orders, factors, chosen)
    assert torch.equal(got[5], image[5])
    for i in range(n):
        expected = image[i].double().numpy()
        for part in orders[i].tolist() if chosen[i] else []:
            expected = slow_part(expected, part, factors[i, part].item())
        assert np.abs(got[i].numpy() - expected).max() < 2e-5


def test_hue_of_pure_colors():
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).T.reshape(1, 3, 2, 4)
    turned = color.hue_(corners.clone(), torch.tensor([1 / 3]))
    assert torch.allclose(turned, corners[:, [2, 0, 1]], atol=1e-5)  # red to green to blue
    assert torch.allclose(color.hue_(corners.clone(), torch.zeros(1)), corners, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 8), (6, 5, 7), (2, 2)])
def test_blur(shape):
    image, sigma = images(3, 2, shape), torch.tensor([0.1, 1.0, 2.0])
    chosen = torch.tensor([True, False, True])
    got = color.blur_(image.clone(), sigma, 3, chosen)
    assert torch.equal(got[1], image[1])
    again = color.blur_tensors_(image.clone(), color.gaussian_kernel(sigma, 3), chosen)
    assert torch.allclose(got, again, atol=1e-6)
    for i in (0, 2):
        assert np.abs(got[i].numpy() - slow_blur(image[i].double().numpy(), sigma[i].item(), 3)).max() < 1e-5
    assert torch.equal(color.blur_(image.clone(), sigma, 0, chosen), image)


def test_gray():
    image = images(3, 3, (4, 5))
    chosen = torch.tensor([True, False, True])
    got = color.grayscale_(image.clone(), chosen)
    assert torch.allclose(got, color.grayscale_tensors_(image.clone(), chosen), atol=1e-6)
    assert torch.equal(got[1], image[1])
    assert torch.allclose(got[0, 0], 0.299 * image[0, 0] + 0.587 * image[0, 1] + 0.114 * image[0, 2])
    assert torch.equal(got[2, 0], got[2, 1])
    assert torch.equal(got[2, 0], got[2, 2])
    volume = images(1, 1, (3, 3, 3))
    assert torch.equal(color.grayscale_(volume.clone(), chosen[:1]), volume)


# Whole views


@pytest.mark.parametrize(
    ("channels", "shape", "size"), [(3, (24, 20), (20, 20)), (1, (24, 24), (20, 16)), (1, (22, 20, 12), (20, 16, 8))]
)
def test_views_are_the_parts_in_order(channels, shape, size):
    image = (images(6, channels, shape) * 255).to(torch.uint8)
    before = image.clone()
    maker = RandomViews(size)
    drawn = maker.draw(geometry.whole(image), generator(4))
    view = apply_views(image, drawn, size)
    assert torch.equal(image, before)
    for result in view:
        assert result.dtype == torch.float32
        assert result.shape == (6, channels, *size)
        assert result.min() >= 0
        assert result.max() <= 1
    for i in range(6):
        expected = slow_resample(
            image[i].double().numpy() / 255, drawn.boxes[i].tolist(), drawn.flips[i], drawn.content[i].tolist(), size
        )
        assert np.abs(view.plain[i].numpy() - expected).max() < 1e-5
        for part in drawn.order[i].tolist() if drawn.jittered[i] else []:
            expected = slow_part(expected, part, drawn.factors[i, part].item())
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


def test_crops(drawn):
    top, left, height, width = drawn.boxes.double().T
    share, ratio = height * width / 64**2, width / height
    assert 0.08 - 1e-5 <= share.min() < 0.09
    assert 0.95 < share.max() <= 1 + 1e-5
    small = share < 0.5  # always fits: nothing was drawn again
    assert_uniform(share[small], 0.08, 0.5)
    assert_uniform(torch.log(ratio[small]), math.log(3 / 4), math.log(4 / 3))
    for start, length in ((top, height), (left, width)):
        assert_uniform(start / (64 - length).clamp(min=1e-6), 0, 1)
        assert (start + length).max() <= 64 + 1e-3


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


def test_crop_that_never_fits_is_the_whole_picture():
    content = torch.tensor([[2, 3, 40, 2]] * 50)
    boxes = geometry.draw_crops(content, (64, 64), (0.5, 1.0), (3 / 4, 4 / 3), generator())
    assert torch.equal(boxes, content.float())


# Fine-tuning


def test_finetune_views_move_image_label_and_valid_alike():
    rng = torch.rand((5, 3, 16, 16), generator=generator())
    label = (rng[:, :1] > 0.5).to(torch.uint8)
    valid = (rng[:, 1:2] > 0.1).to(torch.uint8)
    content = geometry.whole(rng)
    batch = {"image": (rng * 255).to(torch.uint8), "label": label, "valid": valid, "content": content, "index": content}
    maker = FinetuneViews((12, 10))
    drawn = maker.draw(batch["image"], generator(1))
    got = maker.apply(batch, drawn)
    assert set(got) == {"image", "label", "valid", "index"}
    assert got["label"].dtype == got["valid"].dtype == torch.uint8
    for i in range(5):
        for key, nearest in (("image", False), ("label", True), ("valid", True)):
            source = batch[key][i].double().numpy() / (255 if key == "image" else 1)
            whole = content[i].tolist()
            expected = slow_resample(source, drawn.boxes[i].tolist(), drawn.flips[i], whole, (12, 10), nearest)
            assert np.abs(got[key][i].numpy() - expected).max() < 1e-5


def test_finetune_draws():
    image = torch.zeros((DRAWS, 1, 16, 16), dtype=torch.uint8)
    drawn = FinetuneViews((16, 16)).draw(image, generator())
    share = drawn.boxes[:, 2:].prod(1) / 256
    ratio = drawn.boxes[:, 3] / drawn.boxes[:, 2]
    assert 0.5 - 1e-5 <= share.min() < 0.51
    assert share.max() <= 1 + 1e-5
    assert 0.75 - 1e-5 <= ratio.min() < 0.76
    assert 1.31 < ratio.max() <= 4 / 3 + 1e-5
    assert_share(int(drawn.flips[:, 1].sum()), DRAWS, 0.5)
    assert not drawn.flips[:, 0].any()


def test_finetune_evaluation_changes_types_and_size_only():
    batch = {
        "image": (images(2, 3, (8, 8)) * 255).to(torch.uint8),
        "label": torch.ones((2, 1, 8, 8), dtype=torch.uint8),
    }
    got = FinetuneViews((8, 8), augment=False)(batch)
    assert torch.equal(got["image"], batch["image"].float() / 255) or torch.allclose(
        got["image"], batch["image"].float() / 255
    )
    assert torch.equal(got["label"], batch["label"])
    small = FinetuneViews((4, 6), augment=False)(batch)
    assert small["image"].shape == (2, 3, 4, 6)
    assert torch.equal(small["label"], torch.ones((2, 1, 4, 6), dtype=torch.uint8))


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
    with pytest.raises(InputError, match="label"):
        FinetuneViews((8, 8))({"image": torch.zeros(2, 1, 8, 8), "label": torch.zeros(2, 1, 4, 4)})
