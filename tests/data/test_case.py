from pathlib import Path

import pytest

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.errors import InputError


def test_a_case_without_a_known_patient_is_its_own():
    assert Case("a", Path("a.nii")).patient == "a"
    assert Case("a", Path("a.nii"), patient="p").patient == "p"


def test_case_set_separates_labeled_and_unlabeled():
    with_label, without = Case("a", Path("a.nii"), Path("l.nii")), Case("b", Path("b.nii"))
    cases = CaseSet(Path(), "folder", 3, (with_label, without))
    assert cases.labeled == (with_label,)
    assert cases.unlabeled == (without,)


def test_what_a_case_set_says_by_default(tmp_path):
    volumes, images = CaseSet(tmp_path, "decathlon", 3, ()), CaseSet(tmp_path, "voc", 2, (), target="cat")
    assert (volumes.channels, volumes.classes, volumes.name) == (1, {1: "foreground"}, tmp_path.name)
    assert (images.channels, images.classes, images.name) == (3, {1: "cat"}, "voc")
    assert CaseSet(tmp_path, "folder", 2, ()).name == tmp_path.name
    assert CaseSet(tmp_path, "voc", 2, ()).labeled == ()


def test_channels_of_volumes(tmp_path):
    case = Case("a", Path("a_0000.nii"), further=(Path("a_0001.nii"), Path("a_0002.nii")))
    assert case.files == (Path("a_0000.nii"), Path("a_0001.nii"), Path("a_0002.nii"))
    assert Case("b", Path("b.nii"), Path("l.nii")).files == (Path("b.nii"),)
    assert CaseSet(tmp_path, "folder", 3, (), channel_names=("T1", "FLAIR")).channels == 2
    assert CaseSet(tmp_path, "folder", 3, (), channels=4).channels == 4


@pytest.mark.parametrize(
    ("name", "pattern", "patient"),
    [
        ("LIDC-IDRI-0005_R_2", "", "LIDC-IDRI-0005"),
        ("study_LIDC-IDRI-0012_1.3.6", "", "LIDC-IDRI-0012"),
        ("hippocampus_001", "", "hippocampus_001"),
        ("p17-scan2", r"^(p\d+)-", "p17"),
        ("p17-scan2", r"p\d+", "p17"),
    ],
)
def test_patient_of(name, pattern, patient):
    assert patient_of(name, pattern) == patient


def test_patient_pattern_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"patient_pattern 'p\\\\d\+': finds no patient in the file name 'x1'"):
        patient_of("x1", r"p\d+")
    with pytest.raises(InputError, match="finds no patient"):
        patient_of("x1", r"(p\d)?x1")
    with pytest.raises(InputError, match="not a regular expression"):
        patient_of("x1", "(")
