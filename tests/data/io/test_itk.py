"""MetaImage and NRRD, written by SimpleITK, pynrrd-like headers by hand, and what is wrong with them."""

import numpy as np
import pytest
import SimpleITK as sitk

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, itk_image, write_itk

HEADER = """ObjectType = Image
NDims = {dims}
DimSize = {size}
ElementType = MET_SHORT
ElementSpacing = {spacing}
{more}ElementDataFile = {data}
"""


def raw(array=None):
    return (ct() if array is None else array).tobytes(order="F")


def write(path, data="LOCAL", content=b"", *, dims=3, size="9 8 7", spacing="1 1.5 2.5", more=""):
    path.write_bytes(HEADER.format(dims=dims, size=size, spacing=spacing, more=more, data=data).encode() + content)
    return path


@pytest.mark.parametrize("word", ["LOCAL", "Local", "local"])
def test_data_in_the_file_itself(tmp_path, word):
    np.testing.assert_array_equal(read_volume(write(tmp_path / "a.mha", word, raw())).array, ct())


def test_data_in_a_list_of_files(tmp_path):
    for k in range(7):
        (tmp_path / f"s{k}.raw").write_bytes(raw(ct()[:, :, k]))
    listed = "".join(f"s{k}.raw\n" for k in range(7)).encode()
    for word in ("LIST", "LIST 2"):
        np.testing.assert_array_equal(read_volume(write(tmp_path / "a.mhd", word, listed)).array, ct())
    np.testing.assert_array_equal(read_volume(write(tmp_path / "b.mhd", "s%01d.raw 0 6 1")).array, ct())
    (tmp_path / "s3.raw").unlink()
    for name in ("a.mhd", "b.mhd"):
        with pytest.raises(InputError, match=r"its data file s3\.raw is missing"):
            read_volume(tmp_path / name)


def test_numbers_as_text_and_in_the_other_byte_order(tmp_path):
    text = " ".join(map(str, ct().ravel(order="F"))).encode() + b"\n"
    path = write(tmp_path / "a.mha", content=text, more="BinaryData = False\n")
    np.testing.assert_array_equal(read_volume(path).array, ct())
    big = ct().astype(">i2").tobytes(order="F")
    more = "BinaryData = True\nBinaryDataByteOrderMSB = True\n"
    np.testing.assert_array_equal(read_volume(write(tmp_path / "b.mha", content=big, more=more)).array, ct())


def test_a_header_with_a_comment_in_another_encoding(tmp_path):
    path = write(tmp_path / "a.mha", content=raw(), more="Comment = K\u00f6rper\n")
    np.testing.assert_array_equal(read_volume(path).array, ct())


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd"])
def test_a_series_of_one_volume(tmp_path, ending):
    image = sitk.JoinSeries([itk_image(ct())])
    assert image.GetDimension() == 4
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    volume = read_volume(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_detached_header(tmp_path, encoding):
    sitk.WriteImage(itk_image(ct()), str(tmp_path / "a.nhdr"), encoding == "gzip")
    volume = read_volume(tmp_path / "a.nhdr")
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    (data,) = [path for path in tmp_path.iterdir() if path.suffix != ".nhdr"]
    data.unlink()
    with pytest.raises(InputError, match=r"a\.nhdr: its data file .* is missing"):
        read_volume(tmp_path / "a.nhdr")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_claimed_sizes_are_checked_before_a_reader_sees_them(tmp_path, name):
    path = write_itk(tmp_path / name, ct())
    content = path.read_bytes()
    for small, large in ((b"DimSize = 9 8 7", b"DimSize = 9000 8000 7"), (b"sizes: 9 8 7", b"sizes: 9000 8000 7")):
        content = content.replace(small, large)
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: cannot be read, damaged or truncated"):
        read_volume(path)


@pytest.mark.parametrize("change", [b"DimSize = 0 8 7", b"DimSize = x", b"Nothing = 9 8 7", b"DimSize = 9 8 7 1"])
def test_damaged_headers(tmp_path, change):
    path = write(tmp_path / "a.mha", content=raw())
    path.write_bytes(path.read_bytes().replace(b"DimSize = 9 8 7", change))
    with pytest.raises(InputError, match=r"a\.mha: cannot be read, damaged or truncated"):
        read_volume(path)
