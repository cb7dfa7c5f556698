"""Connected components of masks, in millimeters and in pixels."""

import numpy as np
import pytest
import SimpleITK as sitk

from segxfer3d.inference.components import COMPONENT_COLUMNS, IMAGE_COLUMNS, columns_of, components, largest_component


def test_in_world_millimeters():
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[2:4, 2:4, 2:4] = 1
    mask[4, 4, 4] = 1  # touches by a corner: the same component
    mask[10:14, 10:14, 10:12] = 1
    mask[17, 17, 17] = 2
    affine = np.array([[-0.5, 0, 0, 10], [0, 0.5, 0, -20], [0, 0, 2.0, 5], [0, 0, 0, 1]])
    rows = components(mask, "a", classes={1: "nodule", 2: "cyst"}, affine=affine)
    found = [(row["class"], row["component"], row["voxels"]) for row in rows]
    assert found == [("nodule", 1, 32), ("nodule", 2, 9), ("cyst", 1, 1)]
    big = rows[0]
    assert big["volume_mm3"] == 16.0
    assert big["equivalent_diameter_mm"] == round((6 * 16 / np.pi) ** (1 / 3), 3)
    assert (big["center_x_mm"], big["center_y_mm"], big["center_z_mm"]) == (4.25, -14.25, 26.0)
    assert tuple(big) == columns_of(3) == COMPONENT_COLUMNS
    assert components(np.zeros((3, 3, 3), np.uint8), "b", classes={1: "nodule"}, affine=np.eye(4)) == []


def test_in_pixels():
    mask = np.zeros((10, 20), np.uint8)
    mask[0:2, 4:7] = 3  # two rows, three columns
    mask[2, 7] = 3  # touches by a corner
    mask[8, 19] = 3
    mask[5, 5] = 4
    rows = components(mask, "a", classes={3: "cat", 4: "dog"})
    assert [(row["class"], row["component"], row["pixels"]) for row in rows] == [
        ("cat", 1, 7),
        ("cat", 2, 1),
        ("dog", 1, 1),
    ]
    assert tuple(rows[0]) == columns_of(2) == IMAGE_COLUMNS
    assert rows[0]["center_x_pixels"] == round((2 * (4 + 5 + 6) + 7) / 7, 3)
    assert rows[0]["center_y_pixels"] == round((3 * 0 + 3 * 1 + 2) / 7, 3)
    assert (rows[1]["center_x_pixels"], rows[1]["center_y_pixels"]) == (19.0, 8.0)
    assert rows[0]["equivalent_diameter_pixels"] == pytest.approx(2 * np.sqrt(7 / np.pi), abs=1e-3)


def test_a_class_without_a_pixel_has_no_row():
    assert components(np.ones((4, 4), np.uint8), "a", classes={2: "dog"}) == []


def test_the_largest():
    mask = np.zeros((9, 8, 7), bool)
    mask[1:3, 1, 1] = mask[3, 2, 2] = True  # three, by a corner
    mask[6:8, 5, 5] = True
    kept = largest_component(mask)
    assert kept.dtype == bool
    assert sorted(map(tuple, np.argwhere(kept).tolist())) == [(1, 1, 1), (2, 1, 1), (3, 2, 2)]
    picture = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    np.testing.assert_array_equal(largest_component(picture), [[0, 0, 1, 1], [0] * 4, [0] * 4])  # the first of equals
    nothing = largest_component(np.zeros((3, 3), bool))
    assert nothing.shape == (3, 3)
    assert not nothing.any()


def plain_components(mask, classes):
    """Component, voxels and center of each, by a list of all voxels."""
    found = []
    for value in classes:
        pieces = sitk.GetArrayFromImage(
            sitk.ConnectedComponent(sitk.GetImageFromArray((mask == value).astype(np.uint8)), True)
        )
        places = [np.argwhere(pieces == number) for number in range(1, pieces.max() + 1)]
        found += [(value, len(points), points.mean(0)) for points in sorted(places, key=lambda points: -len(points))]
    return found


@pytest.mark.parametrize("shape", [(12, 9, 14), (30, 40)])
def test_rows_are_those_of_a_list_of_all_voxels(shape):
    mask = np.random.default_rng(0).choice([0, 0, 0, 0, 0, 2, 7], shape).astype(np.uint8)
    mask[0], mask[-2:] = 0, 0
    rows = components(mask, "a", classes={2: "2", 7: "7", 9: "9"}, affine=np.eye(4) if len(shape) == 3 else None)
    expected = plain_components(mask, [2, 7])
    assert len(rows) == len(expected) > 10
    for row, (value, size, center) in zip(rows, expected, strict=True):
        assert (row["class"], row.get("voxels", row.get("pixels"))) == (str(value), size)
        names = ("center_x_mm", "center_y_mm", "center_z_mm")
        if len(shape) == 2:
            names, center = ("center_x_pixels", "center_y_pixels"), center[::-1]
        assert [row[name] for name in names] == [round(float(place), 3) for place in center]
