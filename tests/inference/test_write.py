"""Masks and component lists."""

import csv

import nibabel
import numpy as np
import torch

from segxfer3d.inference.write import COMPONENT_COLUMNS, components, to_label_map, write_components, write_volume


def test_label_map_takes_the_most_probable_class():
    probabilities = torch.tensor([[0.4, 0.6, 0.6, 0.5], [0.45, 0.2, 0.7, 0.1]]).view(2, 4, 1, 1)
    assert to_label_map(probabilities, [3, 7]).ravel().tolist() == [0, 3, 7, 3]


def test_components_in_world_millimeters():
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[2:4, 2:4, 2:4] = 1
    mask[4, 4, 4] = 1  # touches by a corner: the same component
    mask[10:14, 10:14, 10:12] = 1
    mask[17, 17, 17] = 2
    affine = np.array([[-0.5, 0, 0, 10], [0, 0.5, 0, -20], [0, 0, 2.0, 5], [0, 0, 0, 1]])
    rows = components(mask, affine, "a", {1: "nodule", 2: "cyst"})
    found = [(row["class"], row["component"], row["voxels"]) for row in rows]
    assert found == [("nodule", 1, 32), ("nodule", 2, 9), ("cyst", 1, 1)]
    big = rows[0]
    assert big["volume_mm3"] == 16.0
    assert big["equivalent_diameter_mm"] == round((6 * 16 / np.pi) ** (1 / 3), 3)
    assert (big["center_x_mm"], big["center_y_mm"], big["center_z_mm"]) == (4.25, -14.25, 26.0)
    assert components(np.zeros((3, 3, 3), np.uint8), np.eye(4), "b", {1: "nodule"}) == []


def test_files(tmp_path):
    affine = np.diag([1.5, 2, 3, 1.0])
    write_volume(tmp_path / "a.nii.gz", np.ones((2, 3, 4), np.uint8), affine)
    read = nibabel.load(tmp_path / "a.nii.gz")
    assert read.shape == (2, 3, 4)
    assert np.array_equal(read.affine, affine)
    write_components(tmp_path / "c.csv", [])
    with (tmp_path / "c.csv").open() as file:
        assert next(csv.reader(file)) == list(COMPONENT_COLUMNS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "c.csv"]
