import shutil

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import cityscapes_cars
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save

SIZE = (40, 80)


def labels(*columns):
    """Road and sky, with a bus or a car or nothing in a part of the columns."""
    mask = np.full(SIZE, 7, np.uint8)
    mask[:20] = 23
    for value, start, stop in columns:
        mask[10:30, start:stop] = value
    return mask


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    images = {
        ("train", "aachen", 1): labels((28, 0, 20)),
        ("train", "aachen", 2): labels((26, 40, 80)),
        ("train", "bochum", 3): labels(),
        ("val", "lindau", 4): labels((28, 60, 80), (26, 0, 30)),
    } | {("val", "munster", number): labels((26, 0, 30)) for number in range(10, 26)}
    for (part, city, number), mask in images.items():
        name = f"{city}_{number:06d}_000019"
        save(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png", noise(SIZE, seed=number))
        save(root / "gtFine" / part / city / f"{name}_gtFine_labelIds.png", mask)
        save(root / "gtFine" / part / city / f"{name}_gtFine_color.png", noise(SIZE))
    save(root / "leftImg8bit" / "test" / "berlin" / "berlin_000001_000019_leftImg8bit.png", noise(SIZE))
    return root


def test_one_class(cityscapes):
    found = find_images("cityscapes", cityscapes, target="bus", progress=False)
    assert [case.name for case in found.cases] == ["aachen_000001_000019", "lindau_000004_000019"]
    assert [case.part for case in found.cases] == ["train", "val"]
    assert found.notes == ("cityscapes, bus: 2 images; the paper had 483",)
    assert check(found, progress=False).good == found.cases
    mask = load_image(found.cases[0], found).label
    np.testing.assert_array_equal(mask.label[0], labels((28, 0, 20)) == 28)
    assert mask.valid.all()
    assert find_images("cityscapes", cityscapes, target="car", progress=False).published is None


def test_images(cityscapes):
    assert len(find_images("cityscapes", cityscapes, task="images").cases) == 21
    assert len(find_images("cityscapes", cityscapes, target="bus", task="images", progress=False).cases) == 2
    labeled = find_images("cityscapes", cityscapes, task="images", extent="trainval").cases
    assert [sum(case.part == part for case in labeled) for part in ("train", "val", "")] == [3, 17, 0]


def test_masks_of_another_coding(cityscapes, tmp_path):
    root = shutil.copytree(cityscapes, tmp_path / "copy")
    path = root / "gtFine" / "train" / "bochum" / "bochum_000003_000019_gtFine_labelIds.png"
    save(path, labels((255, 0, 20)))  # labelTrainIds under the other name
    message = f"^1 of 20 masks cannot be used:\n  {path}: mask values 255; expected the label ids 0 to 33$"
    for layout, target in (("cityscapes", "bus"), ("cityscapes_cars", "")):
        with pytest.raises(InputError, match=message):
            find_images(layout, root, target=target, progress=False, patch_size=16)


def test_masks_that_do_not_show_the_target(cityscapes):
    message = r"no images for segmentation of train in it: its masks have the values .*26, 28; expected 31 \(train\)$"
    with pytest.raises(InputError, match=message):
        find_images("cityscapes", cityscapes, target="train", progress=False)


def test_refused(cityscapes, tmp_path):
    with pytest.raises(InputError, match="target 'buss': unknown; did you mean bus"):
        find_images("cityscapes", cityscapes, target="buss")
    with pytest.raises(InputError, match="target: expected one class of cityscapes: road, "):
        find_images("cityscapes", cityscapes)
    with pytest.raises(InputError, match="cityscapes_cars has patches that do"):
        find_images("cityscapes", cityscapes, target="bus", task="classification")
    with pytest.raises(InputError, match=r"no leftImg8bit/train, .* unpack leftImg8bit_trainvaltest\.zip"):
        find_images("cityscapes", tmp_path, target="bus")


def test_car_patches(cityscapes):
    found = find_images("cityscapes_cars", cityscapes, patch_size=16, progress=False)
    assert found.labeled == found.cases
    classes = find_images("cityscapes_cars", cityscapes, patch_size=16, task="classification", progress=False)
    assert classes.categories == ("no car", "car")
    assert [case.box for case in classes.cases] == [case.box for case in found.cases]
    categories = [case.category for case in classes.cases]
    assert 3 < sum(categories) < len(categories) - 3
    for case, category in zip(found.cases, categories, strict=True):
        loaded = load_image(case, found)
        assert loaded.image.shape == (3, 16, 16)
        share = loaded.label.label.mean()
        assert share >= 0.2 if category else share == 0
    parts = [case.part for case in found.cases]
    assert parts.count("train") == round(0.7 * len(parts))
    assert check(classes, progress=False).good == classes.cases


def test_car_patches_come_from_the_seed(cityscapes):
    def boxes(seed):
        found = find_images("cityscapes_cars", cityscapes, patch_size=16, seed=seed, progress=False)
        return {case.name: (case.box, case.part) for case in found.cases}

    assert boxes(0) == boxes(0)
    assert boxes(0) != boxes(1)


def test_an_image_without_a_fitting_patch_is_left_out(cityscapes):
    found = [find_images("cityscapes_cars", cityscapes, patch_size=16, seed=seed, progress=False) for seed in range(4)]
    assert all(not images.notes for images in found if len(images.cases) == 20)
    few = [images for images in found if len(images.cases) < 20]  # where a coin said car for an image without
    assert few
    for images in few:
        lost = 20 - len(images.cases)
        assert images.notes == (f"cityscapes_cars: {lost} of 20 images have no patch that fits and are left out",)


def test_patches_larger_than_images(cityscapes):
    with pytest.raises(InputError, match="20 of 20 masks cannot be used") as error:
        find_images("cityscapes_cars", cityscapes, patch_size=41, progress=False)
    assert "patch_size 41: expected 1 to 40" in str(error.value)


def test_a_coin_that_says_car_finds_none_where_there_is_none(cityscapes):
    case = find_images("cityscapes_cars", cityscapes, patch_size=8, progress=False).cases[0]
    drawn = [cityscapes_cars.draw_patch(case, labels((28, 0, 20)), 8, seed) for seed in range(20)]
    assert {patch.category for patch in drawn if patch} == {0}
    assert None in drawn
