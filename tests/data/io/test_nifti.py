import nibabel
import numpy as np
import pytest

from segxfer3d.data.io.nifti import write_nifti


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_volumes(tmp_path, ending):
    affine = np.diag([1.5, 2, 3, 1.0])
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / f"a{ending}"
    write_nifti(path, array, affine)
    read = nibabel.load(path)
    assert np.array_equal(read.get_fdata(), array)
    assert np.array_equal(read.affine, affine)
    assert read.get_data_dtype() == np.uint8
    assert read.header.get_xyzt_units()[0] == "mm"
    first = path.read_bytes()
    write_nifti(path, array, affine)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
