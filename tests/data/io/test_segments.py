"""Segmentations as 3D Slicer writes them, here written by pynrrd after Slicer's description of the format."""

import re

import nrrd
import numpy as np
import pytest

from segxfer3d.data.io.segments import Segment, segments_of
from segxfer3d.data.io.volumes import read_label, read_volume
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, write_itk


def write_segments(path, layers, segments, affine=AFFINE):
    """Layers (X, Y, Z) and (name, layer, value) of each segment; a 3D file of one layer, else 4D with a list axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    directions = [lps[:3, axis].tolist() for axis in range(3)]
    header = {
        "space": "left-posterior-superior",
        "space directions": np.array(directions),
        "space origin": lps[:3, 3],
        "kinds": ["domain"] * 3,
    }
    array = np.asarray(layers[0])
    if len(layers) > 1:
        array = np.stack(layers)
        header["kinds"] = ["list", *header["kinds"]]
        header["space directions"] = np.vstack([[np.nan] * 3, *directions])
    for number, (name, layer, value) in enumerate(segments):
        said = {"ID": name, "Name": name, "Layer": layer, "LabelValue": value, "Extent": "0 8 0 7 0 6"}
        header |= {f"Segment{number}_{key}": str(text) for key, text in said.items()}
    nrrd.write(str(path), array, header)
    return path


def block(*slices):
    array = np.zeros((9, 8, 7), np.uint8)
    array[slices] = 1
    return array


LEFT, RIGHT, ALL = block(slice(0, 3)), block(slice(6, 9)), block(slice(1, 8))


def test_one_layer_has_the_values_of_its_file(tmp_path):
    path = write_segments(tmp_path / "s.seg.nrrd", [LEFT * 4 + RIGHT * 2], [("left", 0, 4), ("Lesion", 0, 2)])
    path.write_bytes(path.read_bytes().replace(b"Lesion", "Läsion".encode()))
    assert segments_of(path) == (Segment("left", 4, 0, 4), Segment("Läsion", 2, 0, 2))
    label = read_label(path)
    np.testing.assert_array_equal(label.array, LEFT * 4 + RIGHT * 2)
    np.testing.assert_allclose(label.affine, AFFINE)


def test_layers_that_do_not_overlap_are_one_label_map(tmp_path):
    path = write_segments(tmp_path / "s.seg.nrrd", [LEFT, RIGHT * 5], [("left", 0, 1), ("right", 1, 5)])
    assert [(segment.name, segment.value) for segment in segments_of(path)] == [("left", 1), ("right", 2)]
    label = read_label(path)
    np.testing.assert_array_equal(label.array, LEFT + RIGHT * 2)
    np.testing.assert_allclose(label.affine, AFFINE)


def test_segments_that_overlap_are_refused_by_name(tmp_path):
    path = write_segments(tmp_path / "s.seg.nrrd", [LEFT, ALL], [("core", 0, 1), ("whole", 1, 1)])
    with pytest.raises(InputError, match=r"s\.seg\.nrrd: the segments core and whole overlap \(112 voxels\); expected"):
        read_label(path)
    with pytest.raises(InputError, match=r"a segmentation of 3D Slicer in 2 layers"):
        read_volume(path)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([("a", 0, 1), ("a", 1, 1)], "two segments are called a"),
        ([("a", 0, 1), ("b", 2, 1)], "the segment b is in a layer that the file does not have"),
        ([("a", 0, 1), ("b", 1, "x")], "its header: invalid literal"),
    ],
)
def test_damaged(tmp_path, segments, message):
    path = write_segments(tmp_path / "s.seg.nrrd", [LEFT, RIGHT], segments)
    with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + message):
        read_label(path)


def test_other_files_have_none(tmp_path):
    assert segments_of(write_itk(tmp_path / "a.nrrd", LEFT)) == ()
    assert segments_of(write_itk(tmp_path / "a.seg.nrrd", LEFT)) == ()
    np.testing.assert_array_equal(read_label(tmp_path / "a.seg.nrrd").array, LEFT)
