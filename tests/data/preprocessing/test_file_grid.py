"""From the grid that a network sees to that of the file, piece by piece."""

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing, _file_to_network

TURNED = np.array([[0, 0, -2.0, 7], [-1.5, 0, 0, 3], [0, 1.0, 0, 1], [0, 0, 0, 1]])
OBLIQUE = np.array([[1.2, -0.5, 0.1, 7], [0.5, 1.1, -0.2, 3], [0.0, 0.3, 2.4, 1], [0, 0, 0, 1]])
SHEARED = np.array([[1.0, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 2, 0], [0, 0, 0, 1]])


def straight(affine):
    """The nearest affine without shear."""
    u, _, v = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    result = affine.copy()
    result[:3, :3] = (u @ v) * np.linalg.norm(affine[:3, :3], axis=0)
    return result


def read(folder, affine, spacing, shape=(13, 11, 17)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    path = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    case = Case("scan", path)
    preprocessing = VolumePreprocessing(spacing)
    return preprocessing, preprocessing.read(case, CaseSet(folder, "folder", 3, (case,)), label=False)


def pieces(values, order, size):
    """Boxes of a volume in rows and layers, with their values."""
    starts = [range(0, side, size) for side in values.shape[1:]]
    for a in starts[order[0]]:
        for b in starts[order[1]]:
            for c in starts[order[2]]:
                start = dict(zip(order, (a, b, c), strict=True))
                ends = enumerate(values.shape[1:])
                box = tuple(slice(start[axis], min(start[axis] + size, side)) for axis, side in ends)
                yield box, values[(slice(None), *box)].clone()


@pytest.mark.parametrize("affine", [np.diag([1, 1, 2, 1.0]), TURNED, straight(OBLIQUE)])
@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (2.5, 0.7, 3.1)])
@pytest.mark.parametrize(("order", "size"), [((0, 1, 2), 4), ((2, 0, 1), 1), ((1, 2, 0), 100)])
def test_pieces_are_what_the_whole_is_restored_to(tmp_path, affine, spacing, order, size):
    preprocessing, item = read(tmp_path, affine, spacing)
    grid = FileGrid.of(item["image"])
    assert grid.resampled == (spacing is not None)
    assert grid.shape == (13, 11, 17)
    np.testing.assert_allclose(grid.affine, affine, atol=1e-6)
    seen = torch.rand(2, *item["image"].shape[1:], generator=torch.Generator().manual_seed(0))
    found = torch.full((2, *grid.shape), torch.nan)
    for box, values in grid.interpolated(pieces(seen, order, size), order):
        grid.put(found, box, values)
    expected = preprocessing.restore(seen, item).as_tensor()
    if spacing is None:
        assert torch.equal(found, expected)
    else:
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_a_sheared_grid_that_was_resampled_has_none(tmp_path):
    assert FileGrid.of(read(tmp_path, SHEARED, None)[1]["image"]) is not None
    assert FileGrid.of(read(tmp_path, SHEARED, (1.0, 1.0, 1.0))[1]["image"]) is None


@pytest.mark.parametrize("affine", [np.diag([1, 1, 2, 1.0]), TURNED, SHEARED])
@pytest.mark.parametrize(
    "scale", [{}, {"intensity": "percentile"}, {"intensity": "foreground", "mean": -50.0, "sd": 3}]
)
def test_without_resampling_a_volume_is_read_in_one_pass_as_the_transforms_do(tmp_path, affine, scale):
    preprocessing, item = read(tmp_path, affine, None)
    preprocessing = VolumePreprocessing(scales=(Scale(**scale),))
    case = Case("scan", tmp_path / "scan.nii.gz")
    item = preprocessing.read(case, CaseSet(tmp_path, "folder", 3, (case,)), label=False)
    expected = _file_to_network(preprocessing)({"image": str(case.image)})["image"]
    image = item["image"]
    assert torch.equal(image.as_tensor(), expected.as_tensor())
    for name in ("spatial_shape", "filename_or_obj", "space", "read_notes"):
        assert image.meta[name] == expected.meta[name]
    np.testing.assert_allclose(image.affine, expected.affine, atol=1e-12)
    np.testing.assert_array_equal(image.meta["original_affine"], expected.meta["original_affine"])
    probabilities = torch.rand(2, *image.shape[1:], generator=torch.Generator().manual_seed(0))
    restored = preprocessing.restore(probabilities, item)
    assert torch.equal(restored.as_tensor(), preprocessing.restore(probabilities, {"image": expected}).as_tensor())
    np.testing.assert_allclose(restored.affine, affine, atol=1e-12)
