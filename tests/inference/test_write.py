"""Files of predictions: geometry, palettes, and what happens where a disk or a name is at fault."""

import csv

import nibabel
import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.io.nifti import write_nifti
from segxfer3d.errors import InputError
from segxfer3d.files import write_rows
from segxfer3d.inference.components import COMPONENT_COLUMNS
from segxfer3d.inference.write import palette_color, write_mask, write_probability


def test_a_mask_of_one_class_is_black_and_white(tmp_path):
    write_mask(tmp_path / "a.png", np.array([[0, 7, 0], [7, 7, 0]], np.uint8), {7: "cat"})
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "L"
    assert image.size == (3, 2)
    assert np.asarray(image).tolist() == [[0, 255, 0], [255, 255, 0]]


def test_a_mask_of_several_classes_has_a_palette_whose_index_is_the_class(tmp_path):
    write_mask(tmp_path / "a.png", np.array([[0, 2, 5]], np.uint8), {2: "cat", 5: "dog"})
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 2, 5]]
    # the colors of PASCAL VOC: background, bicycle, bottle
    assert np.asarray(image.convert("RGB")).tolist() == [[[0, 0, 0], [0, 128, 0], [128, 0, 128]]]
    with pytest.raises(InputError, match=r"a\.png: a paletted PNG holds the class values 1 to 255, not 300"):
        write_mask(tmp_path / "a.png", np.zeros((2, 2), np.uint16), {1: "cat", 300: "dog"})


def test_colors_differ():
    assert palette_color(0) == (0, 0, 0)
    assert palette_color(21) == (128, 64, 128)
    assert len({palette_color(value) for value in range(256)}) == 256


def test_probabilities_keep_16_bits(tmp_path):
    values = np.array([[0.0, 0.25, 1.0]], np.float32)
    write_probability(tmp_path / "a.png", values)
    read = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_allclose(read / 65535, values, atol=1e-5)


def test_components_file(tmp_path):
    write_rows(tmp_path / "c.csv", [], COMPONENT_COLUMNS)
    with (tmp_path / "c.csv").open() as file:
        assert next(csv.reader(file)) == list(COMPONENT_COLUMNS)
    write_rows(tmp_path / "c.csv", [{"case": "ä", "class": "x"}], ("case", "class"))
    assert (tmp_path / "c.csv").read_bytes() == "case,class\r\nä,x\r\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["c.csv"]


@pytest.mark.parametrize("name", ["missing/a", "a" * 255])
def test_a_name_that_cannot_be_is_a_short_error(tmp_path, name):
    mask = np.zeros((2, 2, 2), np.uint8)
    for write in (
        lambda: write_nifti(tmp_path / f"{name}.nii.gz", mask, np.eye(4)),
        lambda: write_mask(tmp_path / f"{name}.png", mask[0], {1: "cat"}),
        lambda: write_rows(tmp_path / f"{name}.csv", [], ("case",)),
    ):
        with pytest.raises(InputError, match="could not be saved"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_file_that_was_there(tmp_path, monkeypatch):
    write_nifti(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8), np.eye(4))
    before = (tmp_path / "a.nii").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel.Nifti1Image, "to_stream", full)
    with pytest.raises(InputError, match=r"a\.nii could not be saved .*No space left"):
        write_nifti(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8), np.eye(4))
    assert (tmp_path / "a.nii").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
