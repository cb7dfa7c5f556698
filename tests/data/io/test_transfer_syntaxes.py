"""Every way in which DICOM stores pixels, each written by a program that does not read them here.

pydicom writes what is not compressed and RLE; CharLS (pyjpegls) JPEG-LS and OpenJPEG (pylibjpeg-openjpeg) JPEG 2000
through it; GDCM JPEG lossless; OpenJPH (imagecodecs 2026.3) the HTJ2K codestream below.
"""

import base64
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from segxfer3d.data.io.dicom import pixels
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from tests.data.dicom_files import stored, write_enhanced, write_slices

# rows of 9 and columns of 8: 100 * row + 7 * column
HTJ2K = (
    "|4;u>04YEK0000900008000000000000009000080000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmwh=~7W"
    "02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00000N&o@>lfVEb|9u4qbN~Rr01|-i0Ect{pa2QLjywJUf;0f201A-6fq?)BKzCLEpa2!1#zv#j_}~ae"
    "Apz{T0RPz"
)


WIDE = (40, 36, 7)  # OpenJPEG wants 32 pixels for its levels


def compress(dataset, syntax):
    dataset.SOPInstanceUID = "1.2.3.4.5"
    dataset.compress(syntax, generate_instance_uid=False)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
    ],
    ids=lambda syntax: syntax.name,
)
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_not_compressed(tmp_path, syntax, dtype):
    def finish(dataset, k):
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == uid.ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, dtype).byteswap().tobytes()

    array = stored(dtype=dtype) - (500 if dtype == "int16" else 0)
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, array, finish=finish)).array, array)


@pytest.mark.parametrize(
    ("syntax", "dtype"),
    [
        (uid.RLELossless, "int16"),
        (uid.RLELossless, "uint16"),
        (uid.JPEGLSLossless, "uint16"),  # CharLS writes no other
        (uid.JPEG2000Lossless, "int16"),
        (uid.JPEG2000Lossless, "uint16"),
    ],
)
def test_compressed_slices(tmp_path, syntax, dtype):
    def edit(dataset, k):
        dataset.RescaleIntercept = -k

    array = stored(WIDE, dtype) - (500 if dtype == "int16" else 0)
    folder = write_slices(tmp_path, array, edit=edit, finish=lambda dataset, k: compress(dataset, syntax))
    np.testing.assert_array_equal(read_volume(folder).array, array.astype(int) - np.arange(7))


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless], ids=lambda s: s.name)
def test_compressed_frames_in_any_order(tmp_path, syntax):
    path = write_enhanced(tmp_path / "e.dcm", stored(WIDE), order=[2, 0, 1, 6, 5, 4, 3])
    dataset = pydicom.dcmread(path)
    compress(dataset, syntax)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_volume(tmp_path).array, stored(WIDE).astype(int) - 10)


@pytest.mark.parametrize("process", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless"])
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_written_by_gdcm(tmp_path, process, dtype):
    array = stored(dtype=dtype) - (500 if dtype == "int16" else 0)
    write_slices(tmp_path, array)
    # in a process of its own, as another program
    script = (
        "import sys, gdcm\n"
        "for path in sys.argv[2:]:\n"
        "    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()\n"
        "    reader.SetFileName(path)\n"
        "    assert reader.Read()\n"
        "    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, sys.argv[1])))\n"
        "    change.SetInput(reader.GetImage())\n"
        "    assert change.Change()\n"
        "    writer.SetFileName(path), writer.SetFile(reader.GetFile()), writer.SetImage(change.GetOutput())\n"
        "    assert writer.Write()\n"
    )
    subprocess.run([sys.executable, "-c", script, process, *map(str, tmp_path.iterdir())], check=True)
    assert pydicom.dcmread(next(tmp_path.iterdir())).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_volume(tmp_path).array, array)


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2K], ids=lambda syntax: syntax.name)
def test_htj2k(tmp_path, syntax):
    def finish(dataset, k):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([base64.b85decode(HTJ2K)])
        dataset["PixelData"].is_undefined_length = True

    folder = write_slices(tmp_path, stored((9, 8, 3)), finish=finish)
    slices = (100 * np.arange(8) + 7 * np.arange(9)[:, None])[..., None].repeat(3, 2)
    np.testing.assert_array_equal(read_volume(folder).array, slices)


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    folder = write_slices(tmp_path, stored(WIDE), finish=lambda dataset, k: compress(dataset, uid.JPEG2000Lossless))

    class Nothing:
        is_available = False

    monkeypatch.setattr(pixels, "get_decoder", lambda syntax: Nothing)
    with pytest.raises(InputError, match="no decoder for it; pip install pylibjpeg-openjpeg"):
        read_volume(folder)


def test_a_syntax_that_nothing_reads(tmp_path):
    def finish(dataset, k):
        dataset.file_meta.TransferSyntaxUID = uid.MPEG2MPML
        dataset.PixelData = encapsulate([b"\0" * 16])
        dataset["PixelData"].is_undefined_length = True

    with pytest.raises(InputError, match=r"cannot be decoded; convert the file"):
        read_volume(write_slices(tmp_path, stored(), finish=finish))


def test_damaged_pixels_are_named(tmp_path):
    def finish(dataset, k):
        compress(dataset, uid.JPEG2000Lossless)
        if k == 2:
            dataset.PixelData = encapsulate([b"nothing of an image."])

    with pytest.raises(InputError, match=r"IM002\.dcm: cannot be read, damaged or truncated"):
        read_volume(write_slices(tmp_path, stored(WIDE), finish=finish))
