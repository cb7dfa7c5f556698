import locale

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from segxfer3d.data.io.volumes import Volume, grid_difference, read_volume, volume_name
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, itk_image, write_dicom, write_itk, write_nifti


def test_every_format_equals_nibabel(tmp_path):
    array = ct()
    nifti = nibabel.load(write_nifti(tmp_path / "a.nii.gz", array))
    paths = [tmp_path / "a.nii.gz", write_nifti(tmp_path / "b.nii", array)]
    paths += [write_itk(tmp_path / name, array) for name in ("a.mhd", "a.mha", "a.nrrd")]
    paths += [write_dicom(tmp_path / "dicom", array)]
    for path in paths:
        volume = read_volume(path)
        assert volume.array.dtype == np.int16, path
        np.testing.assert_array_equal(volume.array, np.asarray(nifti.dataobj), err_msg=str(path))
        np.testing.assert_allclose(volume.affine, nifti.affine, atol=1e-5, err_msg=str(path))
    assert volume.spacing == pytest.approx((1.0, 1.5, 2.5), abs=1e-5)


def test_stored_scale_is_applied_in_float32(tmp_path):
    image = nibabel.Nifti1Image(ct(), AFFINE)
    image.header.set_slope_inter(0.5, -1024)
    nibabel.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, nibabel.load(tmp_path / "a.nii.gz").get_fdata(), rtol=1e-6)


def test_big_endian_becomes_native(tmp_path):
    path = write_nifti(tmp_path / "a.nii", ct())
    nibabel.save(nibabel.load(path).__class__(ct(), AFFINE, nibabel.load(path).header.as_byteswapped(">")), path)
    volume = read_volume(path)
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array, ct())


def test_last_axis_of_one_channel_is_dropped(tmp_path):
    assert read_volume(write_nifti(tmp_path / "a.nii.gz", ct()[..., None])).array.shape == (9, 8, 7)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.8])
def test_truncated_file(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    (write_nifti if "nii" in suffix else write_itk)(path, ct())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"a{suffix}: cannot be read, damaged or truncated"):
        read_volume(path)


def test_mhd_without_its_data(tmp_path):
    path = write_itk(tmp_path / "a.mhd", ct())
    raw = path.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"a\.mhd: its data file a\.raw is truncated \(1006 of 1008 bytes\)"):
        read_volume(path)
    raw.unlink()
    with pytest.raises(InputError, match=r"a\.mhd: its data file a\.raw is missing"):
        read_volume(path)


def test_compressed_mhd(tmp_path):
    sitk.WriteImage(itk_image(ct()), str(tmp_path / "a.mhd"), True)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mhd").array, ct())


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 7, 2)])
def test_not_three_dimensional(tmp_path, shape):
    with pytest.raises(InputError, match=r"a\.nii: expected a 3D volume of one channel, got shape 9x8"):
        read_volume(write_nifti(tmp_path / "a.nii", ct(shape)))


def test_two_dimensional_and_colored_nrrd(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(ct((8, 9))), str(tmp_path / "flat.nrrd"))
    with pytest.raises(InputError, match=r"flat\.nrrd: expected a 3D volume of one channel, got shape 9x8$"):
        read_volume(tmp_path / "flat.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(ct((7, 8, 9, 3)), isVector=True), str(tmp_path / "color.nrrd"))
    with pytest.raises(InputError, match=r"color\.nrrd: expected a 3D volume of one channel, got shape 9x8x7x3"):
        read_volume(tmp_path / "color.nrrd")


def test_unusable_files(tmp_path):
    with pytest.raises(InputError, match=r"a\.nii: no such file"):
        read_volume(tmp_path / "a.nii")
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.png: not a volume; expected \.nii\.gz, "):
        read_volume(tmp_path / "a.png")
    flat = nibabel.Nifti1Image(ct(), None)
    flat.header.set_sform(np.diag([1.0, 1, 0, 1]), code=1)
    nibabel.save(flat, tmp_path / "b.nii")
    with pytest.raises(InputError, match=r"b\.nii: no usable geometry, a voxel size of 0 \(1x1x0 mm\)"):
        read_volume(tmp_path / "b.nii")
    for size in (1e-30, 1e20):
        nibabel.save(nibabel.Nifti1Image(ct(), np.diag([1.0, size, 1, 1])), tmp_path / "c.nii")
        with pytest.raises(
            InputError, match=rf"c\.nii: no usable geometry, a voxel size of {size:g} ".replace("+", ".")
        ):
            read_volume(tmp_path / "c.nii")
    with pytest.raises(InputError, match="voxels of type complex64"):
        read_volume(write_nifti(tmp_path / "c.nii", ct().astype(np.complex64)))


def test_reading_dicom_leaves_the_locale_alone(tmp_path):
    before = locale.setlocale(locale.LC_ALL)
    write_dicom(tmp_path / "dicom", ct())
    assert read_volume(tmp_path / "dicom").array.shape == ct().shape
    assert locale.setlocale(locale.LC_ALL) == before


def test_dicom_in_reverse_order(tmp_path):
    # by their positions, whatever their numbers
    write_dicom(tmp_path / "a", ct()[:, :, ::-1], positions=range(7)[::-1])
    volume = read_volume(tmp_path / "a")
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_dicom_with_a_missing_slice(tmp_path):
    with pytest.raises(InputError, match=r"a: a DICOM slice is missing \(5 mm between the slices 3 and 4, 2\.5 mm"):
        read_volume(write_dicom(tmp_path / "a", ct(), without=[3]))


def test_dicom_with_two_series(tmp_path):
    write_dicom(tmp_path, ct(), series="1.2.3")
    write_dicom(tmp_path, ct((9, 8, 4)), series="1.2.4")
    with pytest.raises(
        InputError, match=r"2 DICOM series in one folder, expected one: 1\.2\.3 \(CT, 7 slices\), 1\.2\.4 \(CT, 4 "
    ):
        read_volume(tmp_path)


def test_dicom_with_slices_that_make_no_volume(tmp_path):
    with pytest.raises(InputError, match=r"two DICOM slices at one position \(\S+ and \S+\)"):
        read_volume(write_dicom(tmp_path / "a", ct(), positions=[0, 1, 2, 2, 3, 4, 5]))
    with pytest.raises(InputError, match=r"unevenly spaced \(3\.25 mm between the slices 6 and 7, 2\.5 mm"):
        read_volume(write_dicom(tmp_path / "b", ct(), positions=[0, 1, 2, 3, 4, 5, 6.3]))
    write_dicom(tmp_path / "c", ct())
    write_dicom(tmp_path / "c", ct((5, 5, 7)), positions=[7, 8, 9, 10, 11, 12, 13], without=range(1, 7))
    with pytest.raises(InputError, match="different sizes or orientations"):
        read_volume(tmp_path / "c")
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match="d: no DICOM series in this folder"):
        read_volume(tmp_path / "d")


def test_grid_difference():
    image = Volume(ct(), AFFINE)
    assert grid_difference(image, Volume(ct(), AFFINE + 1e-4)) == ""
    assert grid_difference(image, Volume(ct((9, 8, 6)), AFFINE)) == "the label's shape 9x8x6 is not its image's 9x8x7"
    moved = AFFINE.copy()
    moved[0, 3] += 2
    assert (
        grid_difference(image, Volume(ct(), moved))
        == "the label's affine is not its image's (corners lie up to 2 mm apart)"
    )


def test_volume_name(tmp_path):
    assert volume_name("x/a.b.nii.gz") == "a.b"
    assert volume_name("a.MHD") == "a"
    assert volume_name("a.txt") == ""
    assert volume_name(tmp_path) == tmp_path.name
