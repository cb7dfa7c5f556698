"""Voxel sizes of 0, units and spaces of headers, as nibabel 5.4, pynrrd 1.1 and a text editor write them."""

import nibabel
import numpy as np
import pytest

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from tests.data.volumes import ct

nrrd = pytest.importorskip("nrrd")
LPS = np.diag([-0.8, -0.9, 2.0, 1.0])  # as RAS+
PIXDIM = {nibabel.Nifti1Image: (76, "<f4"), nibabel.Nifti2Image: (104, "<f8")}


def nifti(path, kind, *, form, pixdim=None):
    """With ``pixdim`` written over that of the header, along x."""
    image = kind(ct(), LPS)
    image.set_sform(LPS if form == "sform" else None, int(form == "sform"))
    image.set_qform(LPS if form == "qform" else None, int(form == "qform"))
    nibabel.save(image, path)
    if pixdim is not None:
        content, (offset, dtype) = bytearray(path.read_bytes()), PIXDIM[kind]
        value = np.array([pixdim], dtype).tobytes()
        content[offset + len(value) : offset + 2 * len(value)] = value
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", PIXDIM)
@pytest.mark.parametrize("form", ["qform", "none"])
def test_a_voxel_size_of_0_in_a_nifti(tmp_path, kind, form, capfd):
    with pytest.raises(InputError, match=r"a\.nii: no usable geometry, a voxel size of 0 \(0x0\.9x2 mm\)"):
        read_volume(nifti(tmp_path / "a.nii", kind, form=form, pixdim=0))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", PIXDIM)
def test_an_sform_knows_the_size_that_pixdim_does_not(tmp_path, kind):
    volume = read_volume(nifti(tmp_path / "a.nii", kind, form="sform", pixdim=0))
    np.testing.assert_allclose(volume.affine, LPS, rtol=1e-6)
    np.testing.assert_array_equal(volume.array, ct())


def write_nrrd(path, **header):
    nrrd.write(str(path), ct(), {"space": "left-posterior-superior", "space origin": [1, 2, 3]} | header)
    return path


def directions(factor):
    return np.diag([0.8, 0.9, 2.0]) * factor


@pytest.mark.parametrize("unit", [("mm", 1), ("m", 1e-3), ("cm", 0.1), ("um", 1e3), ("µm", 1e3), ("", 1)])
def test_units_of_an_nrrd(tmp_path, unit):
    name, factor = unit
    header = {"space directions": directions(factor), "space origin": np.array([1, 2, 3]) * factor}
    path = write_nrrd(tmp_path / "a.nrrd", **header, **{"space units": [name.replace("µ", "u")] * 3})
    path.write_bytes(path.read_bytes().replace(b'"um"', f'"{name}"'.encode()))  # pynrrd writes ASCII only
    volume = read_volume(path)
    expected = LPS.copy()
    expected[:3, 3] = -1, -2, 3
    np.testing.assert_allclose(volume.affine, expected, rtol=1e-6)
    assert [note.endswith("which became millimeters") for note in volume.notes] == [True] * (factor != 1)


def test_units_that_cannot_be_used(tmp_path):
    header = {"space directions": directions(1), "space units": ["mm", "mm", "pixels"]}
    with pytest.raises(InputError, match=r'a\.nrrd: its units are "mm" "mm" "pixels"; expected one of mm, cm, m, um'):
        read_volume(write_nrrd(tmp_path / "a.nrrd", **header))


def test_spaces_of_an_nrrd(tmp_path):
    path = tmp_path / "a.nrrd"
    ras = read_volume(write_nrrd(path, **{"space": "right-anterior-superior", "space directions": directions(1)}))
    np.testing.assert_allclose(np.diag(ras.affine), [0.8, 0.9, 2, 1])
    assert ras.notes == ()
    scanner = read_volume(write_nrrd(path, **{"space": "scanner-xyz", "space directions": directions(1)}))
    np.testing.assert_allclose(np.diag(scanner.affine), [-0.8, -0.9, 2, 1])
    assert "its space is scanner-xyz, so that nothing says which side is left" in scanner.notes[0]
    nrrd.write(str(path), ct(), {"spacings": [0.8, 0.9, 2.0]})
    nameless = read_volume(path)
    np.testing.assert_allclose(nameless.affine, LPS)
    assert "it names no space" in nameless.notes[0]
    with pytest.raises(InputError, match=r"its space is 3d-left-handed, a mirror image"):
        read_volume(write_nrrd(path, **{"space": "3D-left-handed", "space directions": directions(1)}))


def test_a_voxel_size_of_0_in_other_formats(tmp_path):
    flat = np.diag([0, 0.9, 2.0])
    with pytest.raises(InputError, match=r"a\.nrrd: no usable geometry, a voxel size of 0 \(\(0,0,0\) \(0,0\.9"):
        read_volume(write_nrrd(tmp_path / "a.nrrd", **{"space directions": flat}))
    header = "NDims = 3\nDimSize = 9 8 7\nElementType = MET_SHORT\n{} = 0 1 1\nElementDataFile = LOCAL\n"
    for name in ("ElementSpacing", "ElementSize"):
        (tmp_path / "a.mha").write_bytes(header.format(name).encode() + ct().tobytes())
        with pytest.raises(InputError, match=r"a\.mha: no usable geometry, a voxel size of 0 \(0 1 1 mm\)"):
            read_volume(tmp_path / "a.mha")


def test_layers_of_a_segmentation_of_slicer(tmp_path):
    segments = {f"Segment{i}_{key}": value for i in range(2) for key, value in (("Layer", str(i)), ("Name", "AB"[i]))}
    header = {
        "kinds": ["list", "domain", "domain", "domain"],
        "space": "left-posterior-superior",
        "space directions": np.vstack([[np.nan] * 3, directions(1)]),
        "space origin": [0, 0, 0],
    }
    path = tmp_path / "a.seg.nrrd"
    nrrd.write(str(path), np.stack([ct() > 0, ct() < 0]).astype(np.uint8), header | segments)
    with pytest.raises(InputError, match=r"in 2 layers, for segments overlap \(A, B\); expected one label map"):
        read_volume(path)
    one = {key: value for key, value in segments.items() if key.startswith("Segment0")}
    nrrd.write(str(path), (ct() > 0).astype(np.uint8)[None], header | one)
    np.testing.assert_array_equal(read_volume(path).array, ct() > 0)


def test_an_mgh_that_does_not_say_where_it_lies(tmp_path):
    path = tmp_path / "a.mgh"
    nibabel.save(nibabel.MGHImage(ct(), LPS.astype(np.float32)), path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, LPS, atol=1e-6)
    assert volume.notes == ()
    content = bytearray(path.read_bytes())
    content[28:30] = bytes(2)
    path.write_bytes(content)
    # nibabel 5.4 would take voxels of 1 mm in an orientation of its own choice
    with pytest.raises(InputError, match=r"a\.mgh: does not say how large its voxels are and where it lies"):
        read_volume(path)
