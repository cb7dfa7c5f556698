import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.check import check
from segxfer3d.data.label_map import mapped, value_pairs, with_label_map
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, save_paletted, square
from tests.data.io.test_codings import png
from tests.data.volumes import ct, write_nifti


def pair(root, name="a", value=255):
    write_nifti(root / "images" / f"{name}.nii.gz", ct())
    return write_nifti(root / "labels" / f"{name}.nii.gz", ((ct() > 0) * value).astype(np.uint8))


@pytest.mark.parametrize(
    ("text", "pairs"), [("", ()), ("255:1", ((255, 1),)), (" 64 : 1, 128:2", ((64, 1), (128, 2))), ("-1:0", ((-1, 0),))]
)
def test_pairs(text, pairs):
    assert value_pairs(text) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("255", "expected pairs of whole numbers"),
        ("255:1.5", "expected pairs of whole numbers"),
        ("255:1,", "expected pairs of whole numbers"),
        ("tumor:1", "expected pairs of whole numbers"),
        ("255:1,255:2", "255 stands for 1 and for 2"),
    ],
)
def test_what_is_no_pair(text, message, tmp_path):
    pair(tmp_path)
    with pytest.raises(InputError, match=f"label_map '{text}': {message}"):
        find_cases(tmp_path, Request(label_map=text))


def test_values_are_exchanged_at_once_and_fit_their_type():
    values = np.array([0, 1, 2, 3], np.uint8)
    np.testing.assert_array_equal(mapped(values, ((1, 2), (2, 1))), [0, 2, 1, 3])
    wide = mapped(values, ((3, 300),))
    assert (wide.dtype, wide.tolist()) == (np.uint16, [0, 1, 2, 300])
    assert mapped(values, ()) is values
    assert mapped(values > 2, ((1, 2),)).tolist() == [0, 0, 0, 2]
    assert values.tolist() == [0, 1, 2, 3]


def test_a_mask_of_0_and_255_is_named_with_the_way_on_which_leads_on(tmp_path):
    label = pair(tmp_path)
    message = r"a\.nii\.gz: label values 255; expected 0, 1; --label_map 255:1 where 255 is that class$"
    with pytest.raises(InputError, match=message):
        check(find_cases(tmp_path), progress=False)
    found = find_cases(tmp_path, Request(label_map="255:1"))
    report = check(found, progress=False)
    assert (report.good, report.empty_labels) == (found.cases, [])
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, ct() > 0)
    assert found.classes == {1: "foreground"}
    assert label == found.cases[0].label


def test_several_strange_values_have_no_hint(tmp_path):
    write_nifti(tmp_path / "images" / "a.nii.gz", ct())
    write_nifti(tmp_path / "labels" / "a.nii.gz", (np.arange(504).reshape(9, 8, 7) % 3 * 64).astype(np.uint8))
    with pytest.raises(InputError, match=r"label values 64, 128; expected 0, 1$"):
        check(find_cases(tmp_path), progress=False)


def case_set(classes, ignore=(), dims=3):
    case = Case("a", "a.nii", "b.nii")
    return CaseSet("root", "folder", dims, (case,), classes, LabelRule(tuple(classes), ignore=ignore))


@pytest.mark.parametrize(
    ("classes", "ignore", "text", "after", "ignored"),
    [
        ({1: "liver", 2: "tumor"}, (), "2:1", {1: "liver"}, ()),
        ({1: "liver", 2: "tumor"}, (), "1:2,2:1", {1: "tumor", 2: "liver"}, ()),
        ({1: "liver", 3: "tumor"}, (), "3:2", None, ()),
        ({1: "liver", 2: "tumor"}, (), "2:0", {1: "liver"}, ()),
        ({1: "liver"}, (3,), "3:0", {1: "liver"}, ()),
        ({1: "liver"}, (3,), "255:3", {1: "liver"}, (3,)),
    ],
)
def test_classes_go_with_their_values(classes, ignore, text, after, ignored):
    changed = with_label_map(case_set(classes, ignore), value_pairs(text))
    assert changed.classes == ({1: "liver", 2: "tumor"} if after is None else after)
    assert changed.label_rule.ignore == ignored
    assert changed.label_rule.foreground == tuple(changed.classes)
    assert changed.cases[0].label_map == value_pairs(text)


def test_a_case_with_pairs_of_its_own_keeps_them_first():
    pairs = ((1, 2), (2, 1))
    with_own = case_set({1: "liver", 2: "tumor"})
    with_own = CaseSet("root", "x", 3, (Case("a", "i", "l", label_map=pairs),), with_own.classes)
    assert with_label_map(with_own, ((2, 0),)).cases[0].label_map == ((1, 0), (2, 1))


def test_a_value_that_no_class_has_is_refused(tmp_path):
    pair(tmp_path)
    with pytest.raises(InputError, match=r"label_map 255:2: expected 0 \(background\) or a class .*\(1 foreground\)"):
        find_cases(tmp_path, Request(label_map="255:2"))


def test_masks_of_images(tmp_path):
    save(tmp_path / "images" / "a.png", noise())
    save(tmp_path / "masks" / "a.png", square(value=128))
    with pytest.raises(InputError, match=r"mask values 128; .*--label_map 128:1 where 128 is the target"):
        check(find_images("", tmp_path), progress=False)
    found = find_images("", tmp_path, label_map="128:1")
    assert check(found, progress=False).good == found.cases
    assert (load_image(found.cases[0], found).label.label[0] == square()).all()


WHITE = 255 - square(value=255)  # a black object on white
BLACK_AND_WHITE = {
    "png of 8 bits": ("a.png", {}),
    "png of 1 bit": ("a.png", {"mode": "1"}),
    "tiff of 1 bit": ("a.tif", {"mode": "1"}),
    "png of 2 bits": ("a.png", {}),
    "palette": ("a.png", {}),
    "jpeg": ("a.jpg", {"quality": 90}),
    "jpeg in a tiff": ("a.tif", {"compression": "jpeg", "quality": 95}),
    "webp": ("a.webp", {"quality": 90}),
}


def black_and_white(root, kind, values=WHITE):
    name, options = BLACK_AND_WHITE[kind]
    save(root / "images" / "a.png", noise())
    if kind == "palette":
        return save_paletted(root / "masks" / name, (values > 0).astype(int), [0, 0, 0, 255, 255, 255])
    path = save(root / "masks" / name, values, **options)
    return png(path, (values > 0) * 3, 2) if kind == "png of 2 bits" else path


@pytest.mark.parametrize("kind", BLACK_AND_WHITE)
@pytest.mark.parametrize(
    ("text", "values", "target"),
    [
        ("255:0,0:1", WHITE, square()),
        ("255:1", square(value=255), square()),
        ("", square(value=255), square()),
        ("0:1,255:0", square(value=0), 1 - square(value=0)),  # all black: all target
    ],
)
def test_black_and_white_masks_of_every_kind_mean_the_same(kind, text, values, target, tmp_path):
    black_and_white(tmp_path, kind, values)
    found = find_images("", tmp_path, label_map=text)
    assert check(found, progress=False).good == found.cases
    label = load_image(found.cases[0], found).label.label[0]
    assert (label == target).all(), label.mean()


@pytest.mark.parametrize("kind", ["png of 1 bit", "palette"])
def test_a_map_that_speaks_of_what_the_file_holds_goes_by_that(kind, tmp_path):
    black_and_white(tmp_path, kind)
    found = find_images("", tmp_path, label_map="1:0,0:1")
    assert (load_image(found.cases[0], found).label.label[0] == square()).all()


def test_values_that_a_mask_cannot_have_are_refused_or_said(tmp_path):
    black_and_white(tmp_path / "lossy", "jpeg")
    found = find_images("", tmp_path / "lossy", label_map="255:1,128:0")
    message = r"a\.jpg: label_map 128: lossy compression blurs values, so that this mask is 255 above 127, and 0; "
    with pytest.raises(InputError, match=message):
        check(found, progress=False)
    black_and_white(tmp_path / "bit", "png of 1 bit")
    report = check(find_images("", tmp_path / "bit", label_map="128:1,255:0,0:1"), progress=False)
    assert report.read_notes == {"a": "label_map 128: a mask of 1 bit has 0 and 255"}


def test_published_images_say_what_their_masks_mean(tmp_path):
    (tmp_path / "ISIC").mkdir()
    with pytest.raises(InputError, match="label_map 255:1: dataset voc says what its masks mean; expected none"):
        find_images("voc", tmp_path, target="cat", label_map="255:1")
