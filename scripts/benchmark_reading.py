"""Speed of checking and loading volumes, beside an earlier build's: CPU seconds, and memory."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

import segxfer3d

SHAPE = (512, 512, 200)
SLICES = 300
REPEATS = 3

# what a run does with a volume before it trains, by this build's names or by those of 24e1449
SCRIPT = """
import json, resource, sys, time
from pathlib import Path
kind, path = sys.argv[1], Path(sys.argv[2])
try:
    from segxfer3d.data.case import Case, CaseSet
    from segxfer3d.data.check import check
    from segxfer3d.data.io.volumes import read_volume
    from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
    from segxfer3d.data.preprocessing.volumes import VolumePreprocessing as Preprocessing
    cases = CaseSet(path.parent, "folder", 3, (Case("a", path),), modality="CT")
    def load():
        kept = KeptVolumes()
        check(cases, progress=False, keep=kept)
        hold = Preprocessing.for_modality("CT").hold
        return hold(cases.cases, cases, labels=False, progress=False, kept=kept)[0]["image"]
except ImportError:
    from segxfer3d.data.cases import Case
    from segxfer3d.data.checks import check_cases
    from segxfer3d.data.preprocessing import Preprocessing
    from segxfer3d.data.readers import read_volume
    def load():
        check_cases([Case("a", path)], [1], progress=False)
        transform = Preprocessing.for_modality("CT").image_transform()
        return transform({"image": str(path)})["image"].as_tensor().contiguous()
def used():
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
def peak():  # of this program alone; that of getrusage may be the one that started it
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
base = peak()
before = used()
array = load() if kind == "load" else read_volume(path).array
seconds, size = used() - before, array.nbytes
more = peak() - base
print(json.dumps({"seconds": seconds, "volumes": more * 1024 / size, "sum": int(array.sum() if kind != "load" else 0)}))
"""


def reading(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of checking and loading a 512x512x200 .nii.gz of int16 as a job does, and of reading 300 uncompressed
    DICOM slices of 512x512, with the memory that this takes at its peak in volumes; with --old, of another build in
    turn (24e1449 reads DICOM with SimpleITK), and how many times as fast this one is."""
    builds = {"": Path(segxfer3d.__file__).parent.parent}
    if options.old:
        builds["old_"] = Path(options.old).absolute()
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        inputs = {"nifti": ("load", _nifti(Path(place))), "dicom": ("read", _dicom(Path(place) / "dicom"))}
        for _ in range(REPEATS):
            for name, build in builds.items():
                for what, (kind, path) in inputs.items():
                    figures = _run(build, kind, path)
                    taken.setdefault(f"{name}{what}_cpu_seconds", []).append(figures["seconds"])
                    if what == "dicom":
                        taken.setdefault(f"{name}dicom_memory_in_volumes", []).append(figures["volumes"])
    results = {key: float(np.median(values)) for key, values in taken.items()}
    if options.old:
        for what in ("nifti", "dicom"):
            results[f"{what}_times_as_fast"] = results[f"old_{what}_cpu_seconds"] / results[f"{what}_cpu_seconds"]
    return results


def _run(build: Path, kind: str, path: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, kind, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=path.parent)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _volume(slices: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """A body in air, with a scanner's noise: what compresses as a CT does."""
    random = np.random.default_rng(0)
    volume = np.full((*SHAPE[:2], slices), -1000, np.float32)
    volume[60:450, 100:400] = 40
    volume[120:250, 150:350] = -850
    noise = ndimage.uniform_filter(random.normal(0, 60, (*SHAPE[:2], 20)).astype(np.float32), (3, 3, 1))
    volume += np.tile(noise, (1, 1, -(-slices // 20)))[:, :, :slices]
    return np.clip(volume, -1024, 3071).astype(np.int16)


def _nifti(folder: Path) -> Path:
    path = folder / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(_volume(SHAPE[2]), np.diag([0.7, 0.7, 1.5, 1])), path)
    return path


def _dicom(folder: Path) -> Path:
    folder.mkdir()
    volume = _volume(SLICES)
    for number in range(SLICES):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{number + 1}"
        dataset.SeriesInstanceUID, dataset.Modality, dataset.PatientID = "1.2.3", "CT", "P"
        dataset.StudyInstanceUID, dataset.InstanceNumber = "1.2", number + 1
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = SHAPE[1], SHAPE[0], 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.7, 0.7], [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient, dataset.RescaleSlope, dataset.RescaleIntercept = [0, 0, number], 1, -1024
        dataset.PixelData = (volume[:, :, number].T + 1024).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        pydicom.dcmwrite(folder / f"{number}.dcm", dataset, enforce_file_format=True)
    return folder
