import shutil

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.data.split import few_of_all
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, save_paletted, square

# image -> classes in its mask: 8 cat, 13 horse, 15 person
TRAIN = {"2007_000001": [8], "2007_000002": [8, 15], "2007_000003": [13]}
VAL = {"2008_000001": [8], "2008_000002": [15], "2008_000003": []}


@pytest.fixture
def voc(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for part, images in (("train", TRAIN), ("val", VAL)):
        for name, classes in images.items():
            save(root / "JPEGImages" / f"{name}.jpg", noise())
            mask = np.zeros((12, 16), np.uint8)
            for column, value in enumerate(classes):
                mask[2:5, 3 + 4 * column : 6 + 4 * column] = value
            mask[0] = 255
            save_paletted(root / "SegmentationClass" / f"{name}.png", mask)
        listed = root / "ImageSets" / "Segmentation" / f"{part}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{name}\n" for name in images))
    save(root / "JPEGImages" / "2009_000001.jpg", noise())
    return root


@pytest.mark.parametrize("above", [0, 1, 2])
def test_one_class(voc, above):
    root = [voc, *voc.parents][above]
    found = find_images("voc", root, target="cat", progress=False)
    assert [case.name for case in found.cases] == ["2007_000001", "2007_000002", "2008_000001"]
    assert (found.root, found.target, found.published) == (voc, "cat", 250)
    assert found.notes == ("voc, cat: 3 images; the paper had 250",)
    mask = load_image(found.cases[1], found).label
    assert (mask.label.sum(), mask.valid.sum()) == (9, 176)
    assert mask.label[0, 2:5, 3:6].all()


def test_several_target_classes_are_channels(voc):
    found = find_images("voc", voc, target="horse, cat,horse", progress=False)
    assert [case.name for case in found.cases] == ["2007_000001", "2007_000002", "2007_000003", "2008_000001"]
    assert (found.classes, found.target, found.categories) == ({8: "cat", 13: "horse"}, "horse,cat", ())
    label = load_image(found.cases[2], found).label
    assert label.label.shape == (2, 12, 16)
    assert label.label.sum(axis=(1, 2)).tolist() == [0, 9]
    assert label.valid.sum() == 176
    report = check(found, progress=False)
    assert (report.good, report.empty_labels) == (found.cases, [])
    with pytest.raises(InputError, match="border foreground: there are several classes"):
        find_images("voc", voc, target="cat,horse", border="foreground", progress=False)
    assert len(find_images("voc", voc, target="cat,horse", task="images", progress=False).cases) == 4


def test_official_split(voc):
    found = find_images("voc", voc, target="cat", progress=False)
    split = few_of_all(found.cases, official=True)
    assert [case.name for case in split.train] == ["2007_000001", "2007_000002"]
    assert [case.name for case in split.test] == ["2008_000001"]


def test_several_classes_by_what_is_shown(voc):
    found = find_images("voc", voc, target="cat,horse,person", task="classification", progress=False)
    assert {case.name: found.categories[case.category] for case in found.cases} == {
        "2007_000001": "cat",
        "2007_000003": "horse",
        "2008_000001": "cat",
        "2008_000002": "person",
    }  # not the one with a cat and a person
    assert check(found, progress=False).good == found.cases
    assert len(find_images("voc", voc, task="classification", progress=False).categories) == 20


def test_images(voc):
    everything = find_images("voc", voc, task="images").cases
    assert [case.part for case in everything] == 3 * ["train"] + 3 * ["val"] + [""]
    assert find_images("voc", voc, task="images", extent="trainval").cases == everything[:6]
    assert len(find_images("voc", voc, target="cat", task="images", progress=False).cases) == 3
    message = "^extent trainval: it is of images that pretrain without a target; expected all$"
    for target, task in (("cat", "images"), ("cat", "segmentation"), ("", "classification")):
        with pytest.raises(InputError, match=message):
            find_images("voc", voc, target=target, task=task, extent="trainval", progress=False)
    for target, task in (("", "images"), ("cat,horse", "classification")):
        with pytest.raises(
            InputError, match=r"^border background: it is of masks, and no masks are used here; expected"
        ):
            find_images("voc", voc, target=target, task=task, border="background", progress=False)


def test_refused(voc):
    with pytest.raises(InputError, match="target 'kat': unknown; did you mean cat"):
        find_images("voc", voc, target="kat")
    with pytest.raises(InputError, match="target '': expected one class of voc: aeroplane, bicycle"):
        find_images("voc", voc)
    with pytest.raises(InputError, match="classification needs several classes"):
        find_images("voc", voc, target="cat", task="classification")
    with pytest.raises(InputError, match="no images for segmentation of tvmonitor in it"):
        find_images("voc", voc, target="tvmonitor", progress=False)
    with pytest.raises(InputError, match=r"not the layout of Pascal VOC 2012: no JPEGImages, .* unpack VOCtrainval"):
        find_images("voc", voc / "SegmentationClass", target="cat")


def test_masks_that_cannot_be_used(voc):
    (voc / "SegmentationClass" / "2007_000001.png").write_bytes(b"broken")
    save(voc / "SegmentationClass" / "2008_000001.png", noise())
    (voc / "SegmentationClass" / "2007_000003.png").unlink()
    with pytest.raises(InputError) as error:
        find_images("voc", voc, target="cat", skip_option="--skip_bad_cases True", progress=False)
    lines = str(error.value).splitlines()
    assert lines[0] == "3 of 6 masks cannot be used; --skip_bad_cases True goes on without them:"
    assert ["not an image" in lines[1], "no such file" in lines[2], "of mode RGB" in lines[3]] == [True] * 3
    found = find_images("voc", voc, target="cat", skip_bad=True, progress=False)
    assert [case.name for case in found.cases] == ["2007_000002"]
    assert found.notes[0].startswith("left out 3 masks that cannot be used: ")
    with pytest.raises(InputError, match=r"^3 of 6 masks cannot be used:\n"):
        find_images("voc", voc, target="cat", progress=False)


def test_masks_of_which_none_can_be_used(voc):
    for path in (voc / "SegmentationClass").iterdir():
        path.write_bytes(b"broken")
    for options in ({"skip_option": "--skip_bad_cases True"}, {"skip_bad": True}):
        with pytest.raises(InputError, match=r"^6 of 6 masks cannot be used:\n"):
            find_images("voc", voc, target="cat", progress=False, **options)


def test_masks_of_another_coding(voc):
    save_paletted(voc / "SegmentationClass" / "2007_000003.png", square(value=99))
    save_paletted(voc / "SegmentationClass" / "2008_000003.png", square(value=21) + 254 * (np.arange(16) == 0))
    for target, task in (("cat", "segmentation"), ("cat,person", "classification"), ("cat", "images")):
        with pytest.raises(InputError) as error:
            find_images("voc", voc, target=target, task=task, progress=False)
        assert str(error.value).splitlines() == [
            "2 of 6 masks cannot be used:",
            f"  {voc / 'SegmentationClass' / '2007_000003.png'}: mask values 99; expected 0 to 20, or 255",
            f"  {voc / 'SegmentationClass' / '2008_000003.png'}: mask values 21, 254; expected 0 to 20, or 255",
        ]


def test_masks_that_do_not_show_the_target(voc):
    with pytest.raises(InputError) as error:
        find_images("voc", voc, target="tvmonitor", progress=False)
    assert str(error.value) == (
        f"dataset_dir {voc}: no images for segmentation of tvmonitor in it: its masks have the values "
        "0, 8, 13, 15, 255; expected 20 (tvmonitor)"
    )
    for path in (voc / "SegmentationClass").iterdir():
        save_paletted(path, square(value=255))
    for target, task, wanted in (
        ("cat,horse", "segmentation", "8 (cat), 13 (horse)"),
        ("cat,dog", "classification", "8 (cat), 12 (dog), one of them in an image"),
        ("", "classification", "1 (aeroplane), 2 (bicycle), 3 (bird), 4 (boat), 5 (bottle), and 15 more, one of them"),
    ):
        with pytest.raises(InputError) as error:
            find_images("voc", voc, target=target, task=task, progress=False)
        assert f" in it: its masks have the values 0, 255; expected {wanted}" in str(error.value)


def test_listed_images_that_are_not_there_are_named_at_once(voc):
    for name in ("2007_000002", "2008_000001"):
        (voc / "JPEGImages" / f"{name}.jpg").unlink()
    with pytest.raises(InputError, match="2 of 6 masks cannot be used") as error:
        find_images("voc", voc, target="cat", progress=False)
    assert [line.split("/")[-1].split(":")[0] for line in str(error.value).splitlines()[1:]] == [
        "2007_000002.jpg", "2008_000001.jpg"
    ]  # fmt: skip
    assert [case.name for case in find_images("voc", voc, target="cat", skip_bad=True, progress=False).cases] == [
        "2007_000001"
    ]
    with pytest.raises(InputError, match="2 images are listed and not there"):
        find_images("voc", voc, task="images")
    found = find_images("voc", voc, task="images", skip_bad=True)
    assert (len(found.cases), len(found.notes)) == (5, 1)


def test_the_augmented_masks_beside_the_official_ones_are_not_read(voc):
    shutil.copytree(voc / "SegmentationClass", voc / "SegmentationClassAug")
    everywhere = np.full((12, 16), 8, np.uint8)
    for path in (voc / "SegmentationClassAug").iterdir():
        save(path, everywhere)
    found = find_images("voc", voc, target="cat", progress=False)
    assert [load_image(case, found).label.label.sum() for case in found.cases] == [9, 9, 9]
