import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, square


def fill(root, names, channels=3, value=None, ending="png"):
    for name in names:
        save(root / f"{name}.{ending}", noise(channels=channels) if value is None else square(value=value))


def test_images_and_masks(tmp_path):
    fill(tmp_path / "images", ["a/1", "b/1"], ending="jpg")
    fill(tmp_path / "masks", ["a/1", "b/1"], value=255)
    found = find_images("folder", tmp_path)
    assert [case.name for case in found.cases] == ["a_1", "b_1"]
    assert (found.layout, found.channels, found.official, found.notes) == ("folder", 3, False, ())
    assert check(found, progress=False).good == found.cases
    assert load_image(found.cases[0], found).label.label.sum() == 20
    classes = find_images("folder", tmp_path, task="classification")
    assert (classes.categories, [case.category for case in classes.cases]) == (("a", "b"), [0, 1])


def test_a_folder_for_each_class_and_images_alone(tmp_path):
    fill(tmp_path, ["cat/1", "cat/2", "dog/1"])
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    found = find_images("folder", tmp_path, task="classification")
    assert [(case.name, case.category) for case in found.cases] == [("cat_1", 0), ("cat_2", 0), ("dog_1", 1)]
    (tmp_path / "emu").mkdir()
    with pytest.raises(InputError, match="no image of 1 of its classes: emu"):
        find_images("folder", tmp_path, task="classification")
    images = find_images("folder", tmp_path, task="images")
    assert (len(images.cases), images.has_categories, images.categories) == (3, False, ())
    fill(tmp_path, ["loose"])
    with pytest.raises(InputError, match="no classes to tell apart"):
        find_images("folder", tmp_path, task="classification")
    with pytest.raises(InputError, match="no masks; expected the folders images and masks"):
        find_images("folder", tmp_path)


def test_the_first_image_says_whether_all_are_gray(tmp_path):
    fill(tmp_path, ["a", "b"], channels=1)
    fill(tmp_path, ["c"])
    (tmp_path / "0.png").write_bytes(b"broken")
    found = find_images("folder", tmp_path, task="images")
    assert found.channels == 1
    with pytest.raises(
        InputError,
        match=r"2 of 4 images.*\n.*0\.png: not an image, or damaged\n.*c\.png: a color image \(RGB\)",
    ):
        check(found, progress=False)


def test_patients_from_the_names(tmp_path):
    fill(tmp_path, ["p1-1", "p1-2", "p2-1"])
    found = find_images("folder", tmp_path, task="images", patient_pattern=r"^p\d+")
    assert [case.patient for case in found.cases] == ["p1", "p1", "p2"]


def test_target_is_a_value(tmp_path):
    fill(tmp_path / "images", ["a"])
    mask = square(value=2)
    mask[0] = 7
    save(tmp_path / "masks" / "a.png", mask)
    with pytest.raises(InputError, match=r"mask values 2, 7; expected 0, 1, 255"):
        check(find_images("folder", tmp_path), progress=False)
    found = find_images("folder", tmp_path, target="7")
    np.testing.assert_array_equal(load_image(found.cases[0], found).label.label[0], mask == 7)
    with pytest.raises(InputError, match="target 'horse': expected the number that marks the target"):
        find_images("folder", tmp_path, target="horse")


@pytest.mark.parametrize(
    "labels", ['{"background": 0, "cup": 2, "disc": 1}', '{"0": "background", "2": "cup", "1": "disc"}']
)
def test_classes_of_a_dataset_json(tmp_path, labels):
    fill(tmp_path / "images", ["a"])
    mask = square(value=1)
    mask[4, 5] = 2
    save(tmp_path / "masks" / "a.png", mask)
    (tmp_path / "dataset.json").write_text(f'{{"labels": {labels}}}')
    found = find_images("", tmp_path)
    assert (found.layout, found.classes, found.target) == ("folder", {1: "disc", 2: "cup"}, "disc,cup")
    assert check(found, progress=False).empty_labels == []
    np.testing.assert_array_equal(load_image(found.cases[0], found).label.label, [mask == 1, mask == 2])
    cup = find_images("folder", tmp_path, target="cup")
    assert (cup.classes, cup.target) == ({2: "cup"}, "cup")
    np.testing.assert_array_equal(load_image(cup.cases[0], cup).label.label, [mask == 2])
    assert load_image(cup.cases[0], cup).label.valid.all()
    assert find_images("folder", tmp_path, target="2").classes == {1: "2"}
    assert find_images("folder", tmp_path, task="images").classes == {1: "foreground"}
    with pytest.raises(InputError, match="target 'cop': unknown; did you mean cup"):
        find_images("folder", tmp_path, target="cop")
    mask[0, 0] = 3
    save(tmp_path / "masks" / "a.png", mask)
    with pytest.raises(InputError, match="mask values 3; expected 0, 1, 2"):
        check(found, progress=False)


def test_values_that_a_dataset_json_ignores(tmp_path):
    fill(tmp_path / "images", ["a"])
    mask = square(value=1)
    mask[0] = 255
    save(tmp_path / "masks" / "a.png", mask)
    path = tmp_path / "dataset.json"
    path.write_text('{"labels": {"background": 0, "disc": 1, "ignore": 255}}')
    found = find_images("", tmp_path)
    assert found.classes == {1: "disc"}
    label = load_image(found.cases[0], found).label
    assert (label.label.shape, label.label.sum(), label.valid[0, 0].sum()) == ((1, 12, 16), 20, 0)
    path.write_text('{"name": "mine"}')
    with pytest.raises(
        InputError, match=r"dataset\.json: no classes in it \(KeyError: 'labels'\); expected \"labels\""
    ):
        find_images("", tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json: no classes in it \(is not JSON"):
        find_images("", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        '{"labels": {"background": 0, "disc": 1, "ignore": 9}}',
        '{"labels": {"0": "background", "1": "disc", "9": " Ignore"}}',
        '{"labels": {"background": 0, "both": [1, 2], "cup": 2, "ignore": 9}, "regions_class_order": [1, 2]}',
    ],
)
def test_what_is_ignored_is_so_for_a_target_by_its_number_too(tmp_path, content):
    fill(tmp_path / "images", ["a"])
    mask = square(value=1)
    mask[:4] = 9
    save(tmp_path / "masks" / "a.png", mask)
    (tmp_path / "dataset.json").write_text(content)
    found = find_images("folder", tmp_path, target="1")
    label = load_image(found.cases[0], found).label
    np.testing.assert_array_equal(label.label[0], mask == 1)
    np.testing.assert_array_equal(label.valid[0], mask != 9)
    if "disc" in content:
        named = find_images("folder", tmp_path, target="disc")
        np.testing.assert_array_equal(load_image(named.cases[0], named).label.valid, label.valid)
    with pytest.raises(InputError, match=r"target 9: .*dataset\.json says to ignore it; expected a class"):
        find_images("folder", tmp_path, target="9")


def test_a_number_needs_no_classes_of_a_dataset_json(tmp_path):
    fill(tmp_path / "images", ["a"])
    save(tmp_path / "masks" / "a.png", square(value=1))
    (tmp_path / "dataset.json").write_text('{"name": "mine"}')
    found = find_images("folder", tmp_path, target="1")
    assert load_image(found.cases[0], found).label.valid.all()
    (tmp_path / "dataset.json").write_text('{"labels": {"disc": 1, "cup": 1}}')
    with pytest.raises(
        InputError, match=r"dataset\.json: no classes in it \(two classes, disc and cup, have the value 1"
    ):
        find_images("folder", tmp_path, target="1")


def test_refused(tmp_path):
    with pytest.raises(InputError, match="no images in it"):
        find_images("folder", tmp_path, task="images")
    fill(tmp_path / "masks", ["a"], value=1)
    with pytest.raises(InputError, match="masks without images; expected the folder images"):
        find_images("folder", tmp_path)
    fill(tmp_path / "images", ["b"])
    with pytest.raises(InputError, match=r"images/b\.png \(image without mask\)"):
        find_images("folder", tmp_path)
    fill(tmp_path / "images", ["a"])
    fill(tmp_path / "masks", ["b", "c"], value=1)
    with pytest.raises(InputError, match=r"masks/c\.png \(mask without image\)"):
        find_images("folder", tmp_path)
    fill(tmp_path / "images", ["a"], ending="jpg")
    with pytest.raises(InputError, match="two images are called a"):
        find_images("folder", tmp_path)


def test_a_message_names_the_folder_that_is_expected(tmp_path):
    fill(tmp_path / "photos", ["a"])
    fill(tmp_path / "masks", ["a"], value=255)
    with pytest.raises(InputError, match=r"expected to be called images, beside masks"):
        find_images("folder", tmp_path)


def test_a_message_counts_what_was_passed_over(tmp_path):
    fill(tmp_path / "masks", ["a", "b"], value=255)
    fill(tmp_path / "images", ["a"])
    (tmp_path / "images" / "b.heic").write_bytes(b"0")
    seen = r"1 files are passed over.*\(1 \.heic\), for example b\.heic"
    with pytest.raises(InputError, match=r"b\.png \(mask without image\); " + seen):
        find_images("folder", tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(InputError, match="masks without images; .*; " + seen):
        find_images("folder", tmp_path)
