"""Every way in which DICOM stores pixels, each written by a program that does not read them here.

pydicom writes what is not compressed and RLE; CharLS (pyjpegls) JPEG-LS and OpenJPEG (pylibjpeg-openjpeg) JPEG 2000
through it; GDCM RLE, JPEG lossless, JPEG-LS and JPEG 2000; Pillow JPEG and JPEG 2000 (by libjpeg-turbo and an OpenJPEG
of its own); OpenJPH and libjpeg-turbo (imagecodecs 2026.3) the codestreams of HTJ2K and of JPEG below.
"""

import base64
import io
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from PIL import Image
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
# the same by libjpeg-turbo 3.1: JPEG lossless of 16 bits, and JPEG extended of 12 (quality 100, exact)
JPEG_LOSSLESS = (
    "|JeWF01!$>Nk#wx0RR9200961|HA+a5C8}O2>}5S0RO}Q761VO0RR9100000000000009A5dYc$2mt{A0RRBb?(XjPM|XF3dn3EMyS<U!-QC{E?(Xj"
    "IWOsLWcd|RXySv#P-QC^)0RPz"
)
JPEG_EXTENDED = (
    "|JeWF01!$>Nk#wx0RR9200961|JwjV009930RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40sp}O3k(1V"
    "00{vB5di<h02KfM0RR910000000000000084*$deAP@im0t)~D0000000000000083mYgjMpI;Hai-+|+5iXv0RR9$0E@FP=r~+i0$dG>5d2ZYXc{*N"
    "|Je"
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


@pytest.mark.parametrize(
    "process", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"]
)
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_written_by_gdcm(tmp_path, process, dtype):
    array = stored(WIDE, dtype=dtype) - (500 if dtype == "int16" else 0)
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


@pytest.mark.parametrize(
    ("syntax", "stream", "bits"),
    [
        (uid.HTJ2KLossless, HTJ2K, 16),
        (uid.HTJ2K, HTJ2K, 16),
        (uid.JPEGLossless, JPEG_LOSSLESS, 16),
        (uid.JPEGLosslessSV1, JPEG_LOSSLESS, 16),
    ],
)
def test_codestreams_of_other_libraries(tmp_path, syntax, stream, bits):
    def finish(dataset, k):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelData = encapsulate([base64.b85decode(stream)])
        dataset["PixelData"].is_undefined_length = True

    folder = write_slices(tmp_path, stored((9, 8, 3)), finish=finish)
    slices = (100 * np.arange(8) + 7 * np.arange(9)[:, None])[..., None].repeat(3, 2)
    np.testing.assert_array_equal(read_volume(folder).array, slices)


@pytest.mark.parametrize(
    ("syntax", "form", "options"),
    [
        (uid.JPEGBaseline8Bit, "JPEG", {"quality": 90}),
        (uid.JPEG2000Lossless, "JPEG2000", {"irreversible": False, "no_jp2": True}),
        (uid.JPEG2000, "JPEG2000", {"irreversible": True, "no_jp2": True, "quality_layers": [4]}),
    ],
    ids=["JPEG", "JPEG 2000 lossless", "JPEG 2000"],
)
def test_written_by_pillow(tmp_path, syntax, form, options):
    rows, columns = np.mgrid[:48, :64]
    slices = [(2 * rows + columns + 10 * k).astype(np.uint8) for k in range(4)]
    decoded = {}

    def finish(dataset, k):
        content = io.BytesIO()
        Image.fromarray(slices[k]).save(content, form, **options)
        decoded[k] = np.asarray(Image.open(io.BytesIO(content.getvalue())))
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = encapsulate([content.getvalue()])
        dataset["PixelData"].is_undefined_length = True

    array = read_volume(write_slices(tmp_path, np.zeros((64, 48, 4), np.uint16), finish=finish)).array
    for k in range(4):
        if syntax == uid.JPEG2000Lossless:
            np.testing.assert_array_equal(decoded[k], slices[k])
        # decoders of lossy streams may round differently
        np.testing.assert_allclose(array[:, :, k].T, decoded[k], atol=0 if syntax == uid.JPEG2000Lossless else 1)


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    folder = write_slices(tmp_path, stored(WIDE), finish=lambda dataset, k: compress(dataset, uid.JPEG2000Lossless))

    class Nothing:
        is_available = False

    monkeypatch.setattr(pixels, "get_decoder", lambda syntax: Nothing)
    with pytest.raises(InputError, match="no decoder for it; pip install pylibjpeg-openjpeg"):
        read_volume(folder)


def test_jpeg_of_12_bits_that_is_not_lossless(tmp_path):
    def finish(dataset, k):
        dataset.file_meta.TransferSyntaxUID = uid.JPEGExtended12Bit
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = encapsulate([base64.b85decode(JPEG_EXTENDED)])
        dataset["PixelData"].is_undefined_length = True

    with pytest.raises(InputError, match=r"JPEG Extended.* cannot be decoded; convert the file"):
        read_volume(write_slices(tmp_path, stored((9, 8, 3)), finish=finish))


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


@pytest.mark.parametrize("name", ["dl", "DLFCN"])
def test_a_folder_called_like_an_old_module_of_python_is_no_obstacle(tmp_path, name):
    (tmp_path / name).mkdir()
    script = (
        "import segxfer3d.data.io.volumes, sys, pydicom.pixels.decoders.gdcm as ours\n"
        f"print(ours.HAVE_GDCM, {name!r} in sys.modules)\n"
        f"import {name}\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True False\n", 0), done.stderr
