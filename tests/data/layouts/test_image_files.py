"""Images as people have them: names of folders and files, links, what systems leave among them, parts and classes."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.check import check
from segxfer3d.data.inspection import inspect
from segxfer3d.data.io.images import ENDINGS
from segxfer3d.data.layouts.files_below import files_below
from segxfer3d.data.layouts.image_files import find_images, short_name
from segxfer3d.data.plausible import refuse_mask_images
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.errors import InputError
from tests.data.image_files import find_images as find
from tests.data.image_files import noise, save, square


def fill(folder, names, *, value=None, ending=".png"):
    for index, name in enumerate(names):
        save(folder / f"{name}{ending}", noise(seed=index) if value is None else square(value=value))


def names_of(found):
    return [case.name for case in found.cases]


@pytest.mark.parametrize(
    ("images", "masks"),
    [("Images", "Masks"), ("img", "mask"), ("IMG", "Ground Truth"), ("JPEGImages", "annotations"),
     ("train_images", "train_masks"), ("imagesTr", "labelsTr"), ("image", "ground-truth"),
     ("Images_png", "Masks_png"), ("images-512x512", "masks_256px")],
)  # fmt: skip
def test_folders_are_known_by_their_words(tmp_path, images, masks):
    fill(tmp_path / images, ["a", "b"])
    fill(tmp_path / masks, ["a", "b"], value=255)
    for task in ("images", "segmentation"):
        found = find("", tmp_path, task=task)
        assert len(found.cases) == 2
        assert {Path(case.image).parent.name for case in found.cases} == {images}
        assert found.notes == ()
    assert load_image(found.cases[0], found).label.label.sum() == 20


def test_numbers_behind_a_word_are_no_sizes(tmp_path):
    """Parts of one data set: images_001 and images_002."""
    fill(tmp_path / "images_001", ["a"])
    fill(tmp_path / "images_002", ["a"])
    assert names_of(find("", tmp_path, task="images")) == ["images_001_a", "images_002_a"]


def test_pairs_at_any_depth_and_masks_with_a_word_behind_the_name(tmp_path):
    fill(tmp_path / "p1" / "images", ["a"])
    fill(tmp_path / "p1" / "masks", ["a_mask"], value=255)
    fill(tmp_path / "p2" / "Images", ["a"])
    fill(tmp_path / "p2" / "labels", ["a"], value=255)
    found = find("", tmp_path)
    assert names_of(found) == ["p1_a", "p2_a"]
    assert [case.label.name for case in found.cases] == ["a_mask.png", "a.png"]


def test_masks_among_images_are_no_images(tmp_path):
    fill(tmp_path, ["benign (1)", "benign (2)"])
    fill(tmp_path, ["benign (1)_mask", "benign (2)_mask"], value=255)
    found = find("", tmp_path, task="images")
    assert names_of(found) == ["benign (1)", "benign (2)"]
    assert found.notes == (
        "2 masks lie among the images and are not taken for such: benign (1)_mask.png, benign (2)_mask.png",
    )
    assert [case.label.name for case in find("", tmp_path).cases] == ["benign (1)_mask.png", "benign (2)_mask.png"]
    fill(tmp_path, ["benign (1)_seg"], value=255)
    with pytest.raises(InputError, match=r"two masks of one image: .*_mask\.png and .*_seg\.png"):
        find("", tmp_path)


def test_two_masks_of_one_image_are_refused(tmp_path):
    fill(tmp_path / "images", ["a"])
    for folder in ("masks", "labels"):
        fill(tmp_path / folder, ["a"], value=255)
    with pytest.raises(InputError, match=r"two masks are called a: .*labels/a\.png and .*masks/a\.png"):
        find("", tmp_path)


def test_images_beside_the_folder_of_images_are_counted(tmp_path):
    fill(tmp_path / "images", ["a", "b"])
    fill(tmp_path, ["preview"])
    (tmp_path / "notes.txt").write_text("words")
    found = find("", tmp_path, task="images")
    assert names_of(found) == ["a", "b"]
    assert found.notes == (
        "2 files are passed over, which are no images to use (1 .txt, 1 beside the folders of images), for example "
        "notes.txt",
    )


def test_links_are_followed_and_nothing_counts_twice(tmp_path):
    root, other = tmp_path / "set", tmp_path / "disk"
    for part, value in (("images", None), ("masks", 255)):
        fill(root / part / "a", ["1"], value=value)
        fill(other / part, ["2"], value=value)
        (root / part / "b").symlink_to(other / part)
    assert names_of(find("", root)) == ["a_1", "b_2"]
    (root / "images" / "a" / "up").symlink_to(root / "images")
    (root / "images" / "0").symlink_to(root / "images" / "a")
    (root / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (root / "images" / "a" / "again.png").symlink_to(root / "images" / "a" / "1.png")
    found = find("", root)
    assert names_of(found) == ["a_1", "b_2"]
    (note,) = found.notes
    assert note.startswith("4 files are passed over, which are no images to use (3 reached by a link too, 1 a link to")


def test_links_to_a_folder_and_to_one_in_it_lead_to_each_image_once(tmp_path):
    fill(tmp_path / "elsewhere" / "inner", ["1"], ending=".jpg")
    root = tmp_path / "set"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "elsewhere" / "inner")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "0.jpg").symlink_to(tmp_path / "elsewhere" / "inner" / "1.jpg")
    assert [path.relative_to(root).as_posix() for path in files_below(root).files] == ["a/1.jpg"]


def test_what_systems_leave_is_passed_over_and_counted(tmp_path):
    fill(tmp_path, ["1", "2"], ending=".jpg")
    fill(tmp_path / "@eaDir" / "1.jpg", ["SYNOPHOTO_THUMB_M", "SYNOPHOTO_THUMB_S"], ending=".jpg")
    fill(tmp_path / "__MACOSX", ["._1"], ending=".jpg")
    fill(tmp_path / ".ipynb_checkpoints", ["1-checkpoint"], ending=".jpg")
    found = find("", tmp_path, task="images")
    assert names_of(found) == ["1", "2"]
    assert "4 files are passed over, which are no images to use (2 in @eaDir" in found.notes[0]
    assert [path.name for path in files_below(tmp_path).files] == ["1.jpg", "2.jpg"]


def test_every_ending_that_is_read(tmp_path):
    kinds = {".jfif": "JPEG", ".jpe": "JPEG", ".dib": "BMP", ".ppm": "PPM", ".pnm": "PPM", ".jp2": "JPEG2000"}
    for index, (ending, kind) in enumerate(kinds.items()):
        Image.fromarray(noise(seed=index)).save(tmp_path / f"{index}{ending}", format=kind)
    found = find("", tmp_path, task="images")
    assert len(found.cases) == len(kinds)
    assert len(check(found, progress=False).good) == len(kinds)
    assert set(kinds) < set(ENDINGS)
    (tmp_path / "more.heic").write_bytes(b"0")
    assert "(1 .heic), for example more.heic" in find("", tmp_path, task="images").notes[0]


def test_a_folder_without_images_says_what_is_there(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"0")
    with pytest.raises(InputError, match=r"no images in it; 1 files are passed over.*\(1 \.heic\)"):
        find("", tmp_path, task="images")


def test_names_in_two_normal_forms_match(tmp_path):
    name = "Präparat 1"
    fill(tmp_path / "images", [unicodedata.normalize("NFD", name)])
    fill(tmp_path / "masks", [unicodedata.normalize("NFC", name)], value=255)
    assert names_of(find("", tmp_path)) == [unicodedata.normalize("NFC", name)]


def test_folders_of_parts_are_no_classes(tmp_path):
    for part in ("train", "val"):
        for category in ("cat", "dog"):
            fill(tmp_path / part / category, [f"{part}{category}{i}" for i in range(2)])
    found = find("", tmp_path, task="classification")
    assert found.categories == ("cat", "dog")
    assert [(case.part, case.category) for case in found.cases[::2]] == [
        ("train", 0), ("train", 1), ("val", 0), ("val", 1),
    ]  # fmt: skip
    assert found.notes == ("folders called as parts (train, val) are no classes; --official_split True keeps to them",)
    (tmp_path / "val" / "emu").mkdir()
    with pytest.raises(InputError, match=r"val: no image of 1 of its classes: emu"):
        find("", tmp_path, task="classification")


def test_a_class_may_be_called_as_a_part_is(tmp_path):
    for category in ("train", "car"):  # two of VOC's
        fill(tmp_path / category, [f"{category}0"])
    assert find("", tmp_path, task="classification").categories == ("car", "train")


def test_images_and_masks_in_parts(tmp_path):
    for part in ("train", "val"):
        fill(tmp_path / part / "images", ["1"])
        fill(tmp_path / part / "masks", ["1"], value=255)
    found = find("", tmp_path)
    assert [(case.name, case.part) for case in found.cases] == [("train_1", "train"), ("val_1", "val")]
    assert len(find("", tmp_path, task="images").cases) == 2


def test_nnunet_names(tmp_path):
    fill(tmp_path / "imagesTr", ["c0_0000", "c1_0000"])
    fill(tmp_path / "labelsTr", ["c0", "c1"], value=1)
    fill(tmp_path / "imagesTs", ["c2_0000"])
    (tmp_path / "dataset.json").write_text(
        '{"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "road": 1}, '
        '"numTraining": 2, "file_ending": ".png"}'
    )
    found = find("", tmp_path)
    assert (names_of(found), found.classes, found.notes) == (["c0_0000", "c1_0000"], {1: "road"}, ())
    assert len(check(found, progress=False).good) == 2
    assert names_of(find("", tmp_path, task="images")) == ["c0_0000", "c1_0000", "c2_0000"]


def stack(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(array) for array in arrays]
    first.save(path, save_all=True, append_images=rest)


def test_every_page_of_a_tiff_is_a_case(tmp_path):
    pages = [noise(channels=1, seed=seed) for seed in range(3)]
    targets = [np.roll(square(value=255), shift, 1) for shift in range(3)]
    stack(tmp_path / "images" / "s.tif", pages)
    stack(tmp_path / "masks" / "s.tif", targets)
    found = find("", tmp_path)
    assert names_of(found) == ["s_page1", "s_page2", "s_page3"]
    assert {case.patient for case in found.cases} == {"s"}
    for case, image, target in zip(found.cases, pages, targets, strict=True):
        loaded = load_image(case, found)
        np.testing.assert_array_equal(loaded.image[0], image)
        np.testing.assert_array_equal(loaded.label.label[0], target > 0)
    assert "1 files hold 3 pages, an image each" in found.notes[0]
    alone = find("", tmp_path, patient_pattern=".+")
    assert [case.patient for case in alone.cases] == names_of(alone)
    stack(tmp_path / "masks" / "s.tif", targets[:2])
    with pytest.raises(InputError, match=r"s\.tif: 3 pages, its mask .*s\.tif 2"):
        find("", tmp_path)


def test_images_are_found_once(tmp_path):
    fill(tmp_path / "a", ["b_c"])
    fill(tmp_path / "a_b", ["c"])
    with pytest.raises(InputError, match="two images are called a_b_c"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "word"),
    [("Task1_Input", "Task1_GroundTruth", "_segmentation"), ("x", "y", ""), ("input", "target", "")],
)
def test_masks_in_folders_of_other_names_never_pretrain(tmp_path, images, masks, word):
    """Known by their few values and by the names that they share; a note where only the values say it."""
    for index in range(4):
        save(tmp_path / images / f"{index}.png", noise(channels=1, seed=index))
        save(tmp_path / masks / f"{index}{word}.png", square(value=255))
    found = find("", tmp_path, task="images")
    report = check(found, progress=False)
    why = rf"4 of 8 images hold 10 different values at most.*{masks}/0{word}\.png.*, masks in one called masks"
    with pytest.raises(InputError, match=why):
        refuse_mask_images(tmp_path, report.good, report.kinds, short_name)
    assert len(inspect(tmp_path, progress=False).problems) == 1
    for path in (tmp_path / masks).iterdir():
        path.rename(path.with_name(f"manual{path.name}"))
    inspection = inspect(tmp_path, progress=False)
    assert not inspection.problems
    assert inspection.notes[0].startswith("4 of 8 images hold 10 different values at most, as masks do: ")


def test_an_empty_picture_is_no_mask(tmp_path):
    fill(tmp_path / "x", ["a", "b"])
    for value in (0, 255):
        save(tmp_path / "y" / f"{'ab'[value > 0]}.png", np.full((12, 16, 3), value, np.uint8))
    report = check(find("", tmp_path, task="images"), progress=False)
    assert refuse_mask_images(tmp_path, report.good, report.kinds, short_name) == ()
