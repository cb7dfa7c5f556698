"""Files of masks: their types, their names, and formats that are none."""

import numpy as np
import pytest
import torch

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from segxfer3d.inference.file_names import class_file_names, file_name
from segxfer3d.inference.predictions import Prediction, write_prediction
from tests.data.volumes import AFFINE
from tests.inference.test_overlay import CLASSES, nifti, predicted


@pytest.mark.parametrize(
    ("values", "dtype"),
    [((1, 255), np.uint8), ((1, 300), np.uint16), ((70000,), np.uint32), ((-1, 3), np.int8), ((-1, 200), np.int16)],
)
@pytest.mark.parametrize("mask_format", ["nii.gz", "nrrd", "mha"])
def test_masks_have_the_smallest_type_that_holds_their_labels(tmp_path, values, dtype, mask_format):
    source = nifti(tmp_path / "i.nii.gz", sform=(AFFINE, 2))
    prediction = predicted(source, {value: f"c{value}" for value in values})
    path = write_prediction(tmp_path, prediction, mask_format=mask_format)
    volume = read_volume(path)
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, prediction.mask)
    assert set(np.unique(volume.array).tolist()) == {0, values[-1]}


NAMES = ["left/right", "..", ".", "", "a" * 300, "ä" * 200, "CON", "x\0y", "C:\\lungs", "/etc/passwd", " ", "nul.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_names_never_become_paths(tmp_path, name):
    source = nifti(tmp_path / "i.nii.gz", sform=(AFFINE, 2))
    before = predicted(source, {1: name, 2: "LV", 3: "lv"})
    prediction = Prediction(name, before.probabilities, before.mask, before.affine, before.classes, ("a",), source)
    out = tmp_path / "out"
    out.mkdir()
    path = write_prediction(out, prediction, probabilities=True)
    assert path.parent == out
    assert sorted(tmp_path.iterdir()) == [source, out]
    written = [file.name for file in out.iterdir()]
    assert len({file.lower() for file in written}) == len(written) == 5
    assert all(len(file.encode()) < 255 and not set(file) & set("\\:\0<>|") for file in written)


def test_names_that_differ_stay_apart():
    names = [*NAMES, "left_right", "left|right", "a" * 299, "con"]
    assert len({file_name(name).lower() for name in names}) == len(names)
    assert file_name("LIDC-IDRI-0005_R_2") == "LIDC-IDRI-0005_R_2"
    assert file_name("Leber und Galle (α)") == "Leber und Galle (α)"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("liver", "LV", "lv"), ("liver", "LV_2", "lv_3")),
        (("LV", "lv", "LV_1"), ("LV_1_1", "lv_2", "LV_1")),
        (("a_2", "A_2", "a"), ("a_2_1", "A_2_2", "a")),
        (("a", "A", "a_1", "A_1", "a_1_1"), ("a_1", "A_2", "a_1_3", "A_1_4", "a_1_1")),
    ],
)
def test_each_class_has_a_file_of_its_own(names, expected):
    assert tuple(class_file_names(enumerate(names, start=1)).values()) == expected


def test_a_format_that_is_none(tmp_path):
    prediction = predicted(nifti(tmp_path / "i.nii.gz", sform=(AFFINE, 2)))
    with pytest.raises(InputError, match=r"mask_format 'tiff': unknown; expected one of auto, nii\.gz, nii, nrrd, mha"):
        write_prediction(tmp_path, prediction, mask_format="tiff")
    image = Prediction("c", torch.zeros(1, 4, 4), np.zeros((4, 4), np.uint8), None, CLASSES)
    with pytest.raises(InputError, match="mask_format nrrd: for volumes only"):
        write_prediction(tmp_path, image, mask_format="nrrd")
