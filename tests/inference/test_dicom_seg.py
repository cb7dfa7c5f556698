"""DICOM segmentations lie on their series, as highdicom reads them; and what none can be made of."""

import numpy as np
import pytest

from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from segxfer3d.inference.predictions import write_prediction
from tests.data.dicom_files import MR, blank, stored, write_enhanced, write_slices
from tests.data.volumes import ct, write_nifti

from .test_overlay import LABELED, SHAPE, Prediction, predicted

hd = pytest.importorskip("highdicom")
CLASSES = {3: "left/right", 7: "nodule"}


def framed(dataset, k):
    dataset.PatientName = "P1"  # of one part, of which highdicom warns
    dataset.FrameOfReferenceUID = "1.2.3.9"


def enhanced(path):
    import pydicom

    write_enhanced(path, stored(), order=[3, 1, 0, 2, 6, 5, 4])
    dataset = pydicom.dcmread(path)
    dataset.FrameOfReferenceUID, dataset.InstanceNumber = "1.2.3.9", 1
    dataset.save_as(path)
    return path


# with the step from slice to slice (LPS)
SERIES = {
    "axial": (lambda p: write_slices(p / "s", stored(), edit=framed), (0.0, 0.0, 2.5)),
    "from the top down": (lambda p: write_slices(p / "s", stored(), edit=framed, name="I{:02d}",
                          heights=[6, 5, 4, 3, 2, 1, 0]), (0.0, 0.0, 2.5)),
    "a tilted gantry": (lambda p: write_slices(p / "s", stored(), edit=framed, step=(0, 0.5, 2.5)), (0.0, 0.5, 2.5)),
    "MR": (lambda p: write_slices(p / "s", stored(), edit=framed, sop_class=MR, modality="MR"), (0.0, 0.0, 2.5)),
    "enhanced, in no order": (lambda p: enhanced(p / "e.dcm"), (0.0, 0.0, 2.5)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SERIES)
def test_segments_lie_on_their_series(tmp_path, kind):
    make, step = SERIES[kind]
    source = make(tmp_path)
    path = write_prediction(tmp_path, predicted(source, CLASSES), mask_format="dicom-seg", probabilities=True)
    assert path.name == "case_mask.dcm"
    read = hd.seg.segread(path)
    assert read.get_segment_description(1).segment_label == "left/right"
    assert read.get_segment_description(2).segment_label == "nodule"
    assert read.FrameOfReferenceUID == "1.2.3.9"
    found = []
    for number, group in enumerate(read.PerFrameFunctionalGroupsSequence):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        assert group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2
        rows, columns = np.nonzero(np.atleast_3d(read.pixel_array.reshape(-1, 8, 9))[number])
        found += [(position + np.array([0.75 * x, 0.5 * y, 0])).tolist() for y, x in zip(rows, columns, strict=True)]
    expected = LABELED[:, :1] * (0.75, 0, 0) + LABELED[:, 1:2] * (0, 0.5, 0) + LABELED[:, 2:] * np.array(step)
    np.testing.assert_allclose(sorted(found), sorted(expected.tolist()), atol=1e-6)
    assert len(list(tmp_path.glob("case_*_probability.*"))) == 2
    assert "notes" not in (tmp_path / "case_mask.json").read_text()


def test_a_mask_without_any_voxel(tmp_path):
    source = write_slices(tmp_path / "s", stored(), edit=framed)
    full = predicted(source)
    empty = Prediction("case", full.probabilities, np.zeros_like(full.mask), full.affine, full.classes, (), source)
    read = hd.seg.segread(write_prediction(tmp_path, empty, mask_format="dicom-seg"))
    assert not read.pixel_array.any()


def test_a_segmentation_is_no_volume_afterwards(tmp_path):
    source = write_slices(tmp_path / "in" / "s", stored(), edit=framed)
    write_prediction(tmp_path / "in", predicted(source), mask_format="dicom-seg")
    found = find_cases(tmp_path / "in")
    assert [case.name for case in found.cases] == ["s"]
    assert "of modality SEG" in found.notes[0]


def test_what_no_segmentation_can_be_made_of(tmp_path):
    nifti = write_nifti(tmp_path / "a.nii", ct(SHAPE))
    with pytest.raises(InputError, match=r"mask_format dicom-seg: for DICOM only, .*a\.nii is none \(1 of 1\)"):
        write_prediction(tmp_path, predicted(nifti), mask_format="dicom-seg")
    uneven = write_slices(tmp_path / "s", stored(), heights=[0, 1, 2, 3, 4, 5, 7], edit=framed)
    with pytest.raises(InputError, match=r"slices are resampled, to which no DICOM segmentation can refer"):
        write_prediction(tmp_path, predicted(uneven, uneven="resample"), mask_format="dicom-seg")
    lost = write_slices(tmp_path / "t", stored(), series="1.9")
    assert "FrameOfReferenceUID" not in blank()
    with pytest.raises(InputError, match="no DICOM segmentation without FrameOfReferenceUID"):
        write_prediction(tmp_path, predicted(lost), mask_format="dicom-seg")
    assert list(tmp_path.glob("case*")) == []
