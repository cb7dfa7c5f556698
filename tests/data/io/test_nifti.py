import gzip

import nibabel
import numpy as np
import pytest

from segxfer3d.data.io.nifti import write_nifti
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct

TURNED = np.diag([-1.3158, -1.3158, 10, 1])


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


def image(array=None, **forms):
    """With a form for each of sform and qform, (affine, code)."""
    nifti = nibabel.Nifti1Image(ct() if array is None else array, None)
    nifti.set_sform(*forms.get("sform", (None, 0)))
    nifti.set_qform(*forms.get("qform", (None, 0)))
    return nifti


def saved(nifti, path):
    nibabel.save(nifti, path)
    return path


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1), ("unknown", 1)])
def test_units_become_millimeters(tmp_path, unit, factor):
    affine = AFFINE.copy()
    affine[:3] *= factor
    nifti = image(sform=(affine, 1), qform=(affine, 1))
    nifti.header.set_xyzt_units(unit)
    volume = read_volume(saved(nifti, tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert volume.notes == ((f"its unit is {unit}s, which became millimeters",) if factor != 1 else ())


def test_voxel_sizes_decide_between_sform_and_qform(tmp_path):
    # as in headers of the ACDC challenge: an sform of 1 mm beside the voxels' real size
    path = saved(image(sform=(np.diag([-1.0, -1, 1, 1]), 2), qform=(TURNED, 1)), tmp_path / "a.nii")
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, TURNED, atol=1e-4)
    assert volume.notes == (
        "the sform's voxels are 1 x 1 x 1 mm, pixdim's 1.316 x 1.316 x 10 mm, which decides: the qform is taken",
    )


def test_voxel_sizes_scale_an_sform_that_has_others(tmp_path):
    nifti = image(sform=(np.diag([-1.0, -1, 1, 1]), 2))
    nifti.header["pixdim"][1:4] = [1.3158, 1.3158, 10]
    volume = read_volume(saved(nifti, tmp_path / "a.nii"))
    np.testing.assert_allclose(volume.spacing, [1.3158, 1.3158, 10], rtol=1e-5)
    assert volume.notes[0].endswith("which decides: the sform's directions are taken")


def test_forms_of_one_size_that_disagree(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += 50
    volume = read_volume(saved(image(sform=(AFFINE, 2), qform=(moved, 1)), tmp_path / "a.nii"))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert volume.notes == ("sform (code 2) and qform (code 1) disagree; the sform is taken, as nibabel does",)


def test_a_form_whose_voxel_sizes_nobody_set(tmp_path):
    nifti = image(sform=(AFFINE, 2))
    nifti.header["pixdim"][1:4] = 1
    volume = read_volume(saved(nifti, tmp_path / "a.nii"))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert volume.notes == ()


def test_no_form_at_all(tmp_path):
    path = saved(image(), tmp_path / "a.nii")
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, nibabel.load(path).affine)
    assert volume.notes[0].startswith("sform and qform both have code 0")


def test_slope_zero_is_no_scale(tmp_path):
    path = saved(image(sform=(AFFINE, 1)), tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0, 5], "<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(content)
    np.testing.assert_array_equal(read_volume(path).array, ct())


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_header_and_voxels_apart(tmp_path, kind):
    nibabel.save(kind(ct(), AFFINE), tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.array, ct())
        np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    (tmp_path / "a.img").unlink()
    with pytest.raises(InputError, match=r"a\.hdr: half of a pair; its \.img is missing"):
        read_volume(tmp_path / "a.hdr")


def test_analyze_is_refused(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(ct(), None), tmp_path / "a.hdr")
    with pytest.raises(InputError, match=r"a\.hdr: Analyze 7\.5, which does not say where left is"):
        read_volume(tmp_path / "a.hdr")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_2(tmp_path, name):
    np.testing.assert_array_equal(read_volume(saved(nibabel.Nifti2Image(ct(), AFFINE), tmp_path / name)).array, ct())


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
def test_freesurfer(tmp_path, name):
    volume = read_volume(saved(nibabel.MGHImage(ct(), AFFINE.astype(np.float32)), tmp_path / name))
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize("size", [0, 10, 90, 283, 300])
def test_a_part_of_a_freesurfer_file(tmp_path, size):
    path = saved(nibabel.MGHImage(ct(), AFFINE.astype(np.float32)), tmp_path / "a.mgh")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"a\.mgh: cannot be read, damaged or truncated"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_claimed_sizes_are_checked_before_memory_is_taken(tmp_path, name):
    path = saved(image(sform=(AFFINE, 1)), tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([3000, 3000, 3000], "<i2").tobytes()  # dim
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"would take 50|damaged or truncated"):
        read_volume(saved_as(path, tmp_path / name))


def saved_as(path, other):
    if other.suffix == ".gz":
        other.write_bytes(gzip.compress(path.read_bytes()))
    return other


def test_a_wrong_checksum_is_found(tmp_path):
    path = saved(image(sform=(AFFINE, 1)), tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(path)
