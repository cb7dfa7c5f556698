"""Damaged volumes and images of every format that is read, checked and brought to the network as a job does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid
from torture_mutations import changed_bytes, changed_gzip, changed_text, odd_value
from torture_worker import names_of_file

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.io.volumes import read_channels, read_label
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing

SHAPE = (20, 18, 12)
SPACING = (2.0, 2.0, 2.5)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
Change = Callable[[bytes, Random], bytes]
Array = NDArray[np.generic]


def ct() -> NDArray[np.int16]:
    """Random HU (X, Y, Z)."""
    return np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)


def label() -> NDArray[np.uint8]:
    """A label with a block of 1."""
    array = np.zeros(SHAPE, np.uint8)
    array[4:10, 4:10, 3:8] = 1
    return array


def _nifti(array: Array, path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)


def _nifti_2(array: Array, path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(array, AFFINE), path)


def _pair(array: Array, path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(array, AFFINE), path)


def _mgh(array: Array, path: Path) -> None:
    nibabel.save(nibabel.MGHImage(array, AFFINE), path)


def _itk(compressed: bool) -> Callable[[Array, Path], None]:
    def write(array: Array, path: Path) -> None:
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        image.SetSpacing((1.0, 1.0, 2.0))
        sitk.WriteImage(image, str(path), useCompression=compressed)

    return write


def _dicom(syntax: str) -> Callable[[Array, Path], None]:
    def write(array: Array, path: Path) -> None:
        path.mkdir(exist_ok=True)
        for k in range(array.shape[2]):
            data = Dataset()
            data.file_meta = FileMetaDataset()
            data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{k + 1}"
            data.SeriesInstanceUID, data.StudyInstanceUID, data.PatientID = "1.2.3", "1.2", "P1"
            data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", 1, k + 1
            data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            data.PixelSpacing, data.ImageOrientationPatient = [1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
            data.ImagePositionPatient = [0.0, 0.0, 2.0 * k]
            data.RescaleSlope, data.RescaleIntercept = 1, 0
            data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
            data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
            data.Rows, data.Columns = array.shape[1], array.shape[0]
            data.PixelData = np.ascontiguousarray(array[:, :, k].T.astype(np.int16)).tobytes()
            data["PixelData"].VR = "OW"
            if syntax == RLELossless:
                data.compress(RLELossless, generate_instance_uid=False)
            pydicom.dcmwrite(path / f"IM{k:03d}.dcm", data, enforce_file_format=True)

    return write


def _enhanced(array: Array, path: Path) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2.1", generate_uid(entropy_srcs=["a"])
    data.SeriesInstanceUID, data.StudyInstanceUID, data.PatientID, data.Modality = "1.2.3", "1.2", "P1", "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k in range(array.shape[2]):
        group, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, 2.0 * k]
        values.RescaleSlope, values.RescaleIntercept = 1, 0
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [values]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence, data.NumberOfFrames = groups, len(groups)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.Rows, data.Columns = array.shape[1], array.shape[0]
    frames = [np.ascontiguousarray(array[:, :, k].T.astype(np.int16)).tobytes() for k in range(array.shape[2])]
    data.PixelData = b"".join(frames)
    data["PixelData"].VR = "OW"
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def _changed_dicom(content: bytes, rng: Random) -> bytes:
    """A DICOM file with an element changed, or bytes of it."""
    if rng.random() < 0.5:
        return changed_bytes(content, rng, head=len(content) - 720 if len(content) > 1500 else 0)
    import io

    data = pydicom.dcmread(io.BytesIO(content), force=True)
    elements = list(data)
    for element in rng.sample(elements, min(len(elements), rng.randint(1, 3))):
        if rng.random() < 0.3:
            del data[element.tag]
            continue
        try:
            with pydicom.config.disable_value_validation():
                element.value = odd_value(rng)
                pydicom.dcmwrite(io.BytesIO(), data)
        except Exception:  # pydicom writes no such value
            del data[element.tag]
    written = io.BytesIO()
    pydicom.dcmwrite(written, data)
    return written.getvalue()


class Volumes:
    """Volumes of one format: now the image is damaged, now the label.

    Args:
        name: of the kind.
        ending: of its files; empty for a folder.
        write: makes a good one.
        change: changes the bytes of a file.
    """

    group, every = "volumes", 1

    def __init__(self, name: str, ending: str, write: Callable[[Array, Path], None], change: Change) -> None:
        self.name, self.ending, self.write, self.change = name, ending, write, change
        self.good: Path = Path()

    def prepare(self, root: Path) -> None:
        """Write the good files."""
        self.good = root / self.name
        self.good.mkdir(parents=True)
        self.write(ct(), self.good / f"image{self.ending}")
        _nifti(label(), self.good / "label.nii.gz")
        if self.ending and self.name != "DICOM, one file":  # whose pixels are not those of a label
            (self.good / "label.nii.gz").unlink()
            self.write(label(), self.good / f"label{self.ending}")

    def damage(self, place: Path, rng: Random) -> Path:
        """See :class:`torture_worker.Kind`."""
        shutil.copytree(self.good, place, dirs_exist_ok=True)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        if not self.ending or rng.random() < 0.7:  # of a folder, its slices
            files = [path for path in files if path.name != "label.nii.gz" and not path.name.startswith("label")]
        path = rng.choice(files)
        change = changed_gzip if path.name == "label.nii.gz" else self.change
        path.write_bytes(change(path.read_bytes(), rng) if rng.random() < 0.97 else b"")
        return path

    names = staticmethod(names_of_file)

    def read(self, place: Path) -> None:
        """See :class:`torture_worker.Kind`."""
        files = {path.name.split(".")[0]: path for path in sorted(place.iterdir(), reverse=True)}
        case = Case("a", files["image"], files["label"])
        case_set = CaseSet(place, "folder", 3, (case,), modality="CT")
        kept = KeptVolumes()
        check(case_set, progress=False, keep=kept, spacing=SPACING, identify=True)
        preprocessing = VolumePreprocessing.for_modality("CT", spacing=SPACING)
        preprocessing.hold(case_set.cases, case_set, labels=True, progress=False, kept=kept)
        read_channels(files["image"], uneven="resample")
        read_label(files["label"])


def _head(size: int) -> Change:
    return lambda content, rng: changed_bytes(content, rng, head=size)


def _gzip(size: int) -> Change:
    return lambda content, rng: changed_gzip(content, rng, head=size)


def _texts(content: bytes, rng: Random) -> bytes:
    """A file with a header of text: that, or any bytes, changed."""
    end = max(content.find(b"\n\n"), content.find(b"LOCAL\n") + 5, 400)
    return changed_text(content, rng, head=end) if rng.random() < 0.7 else changed_bytes(content, rng, head=end)


VOLUMES = (
    Volumes("NIfTI .nii.gz", ".nii.gz", _nifti, _gzip(352)),
    Volumes("NIfTI .nii", ".nii", _nifti, _head(352)),
    Volumes("NIfTI-2 .nii", ".nii", _nifti_2, _head(544)),
    Volumes("NIfTI pair", ".hdr", _pair, _head(348)),
    Volumes("MGH .mgz", ".mgz", _mgh, _gzip(284)),
    Volumes("NRRD .nrrd", ".nrrd", _itk(False), _texts),
    Volumes("NRRD .nrrd, gzip", ".nrrd", _itk(True), _texts),
    Volumes("NRRD .nhdr", ".nhdr", _itk(False), _texts),
    Volumes("MetaImage .mha", ".mha", _itk(False), _texts),
    Volumes("MetaImage .mha, zlib", ".mha", _itk(True), _texts),
    Volumes("MetaImage .mhd", ".mhd", _itk(False), _texts),
    Volumes("DICOM series", "", _dicom(ExplicitVRLittleEndian), _changed_dicom),
    Volumes("DICOM series, RLE", "", _dicom(RLELossless), _changed_dicom),
    Volumes("DICOM, one file", ".dcm", _enhanced, _changed_dicom),
)


class Images:
    """Images with masks of one format; one of either is damaged."""

    group, every = "images", 1

    def __init__(self, ending: str, **options: Any) -> None:
        self.name, self.ending, self.options = f"image {ending}", ending, options
        self.good = Path()

    def prepare(self, root: Path) -> None:
        """Write the good files."""
        self.good = root / self.name
        values = np.random.default_rng(0).integers(0, 256, (2, 24, 20, 3)).astype(np.uint8)
        mask = np.zeros((24, 20), np.uint8)
        mask[5:12, 4:11] = 255
        for folder in ("images", "masks"):
            (self.good / folder).mkdir(parents=True)
        for number, array in enumerate(values):
            Image.fromarray(array).save(self.good / "images" / f"case{number}{self.ending}", **self.options)
            Image.fromarray(mask).save(self.good / "masks" / f"case{number}.png")

    def damage(self, place: Path, rng: Random) -> Path:
        """See :class:`torture_worker.Kind`."""
        shutil.copytree(self.good, place, dirs_exist_ok=True)
        path = rng.choice(sorted((place / rng.choice(("images", "images", "masks"))).iterdir()))
        path.write_bytes(changed_bytes(path.read_bytes(), rng, head=200))
        return path

    names = staticmethod(names_of_file)

    def read(self, place: Path) -> None:
        """See :class:`torture_worker.Kind`."""
        case_set = find_cases(place, Request(layout="folder", dims=2, task="segmentation", image_kind="color"))
        check(case_set, progress=False, identify=True)
        preprocessing = ImagePreprocessing(16, case_set.channels)
        preprocessing.hold(case_set.cases, case_set, labels=True, progress=False)


IMAGES = (
    Images(".png"), Images(".jpg"), Images(".tif"), Images(".tiff", compression="tiff_lzw"), Images(".gif"),
    Images(".bmp"), Images(".webp"), Images(".jp2"), Images(".ppm"),
)  # fmt: skip
