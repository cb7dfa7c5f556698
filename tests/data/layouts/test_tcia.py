"""Trees as TCIA's downloader and IDC's write them."""

import pytest

from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from tests.data.dicom_files import blank, save, stored, write_slices

NBIA = ("1.3.6.1.4.1-NA-00001/3000566.000000-NA-03192", "1.3.6.1.4.1-NA-00001/300.000000-Segmentation-67300")
IDC = ("1.3.6.1.4.1.1/CT_1.3.6.1.4.1.14519.5.2.1", "1.3.6.1.4.1.1/SEG_1.2.276.0.7230010.3.1.3")


@pytest.mark.parametrize(("scan", "label"), [NBIA, IDC])
def test_series_are_cases_and_labels_are_named(tmp_path, scan, label):
    for number in (1, 2):
        patient = tmp_path / "LIDC-IDRI" / f"LIDC-IDRI-000{number}"
        about = {"patient": f"LIDC-IDRI-000{number}", "series": f"1.3.{number}"}
        write_slices(patient / scan, stored(), name="1-{:03d}.dcm", **about)
        save(blank(modality="SEG"), patient / label / "1-1.dcm")
    save(blank(modality="RTSTRUCT"), patient / "1.3.6.1" / "RTSTRUCT_1.3.6.1.4.1.2" / "1-1.dcm")
    (tmp_path / "metadata.csv").write_text("Series UID,Collection\n")
    found = find_cases(tmp_path)
    assert (found.layout, found.modality) == ("tcia", "CT")
    assert [(case.patient, case.label) for case in found.cases] == [("LIDC-IDRI-0001", None), ("LIDC-IDRI-0002", None)]
    note = "2 segmentations (SEG) and 1 structures (RTSTRUCT) lie there, which are not read as labels yet"
    assert found.notes[0] == note


def test_series_are_chosen_as_in_any_folder(tmp_path):
    for modality in ("CT", "MR"):
        series = tmp_path / "collection" / "P1" / "1.2.3" / f"{modality}_1.2.3.4.5"
        write_slices(series, stored(), modality=modality, series=f"1.2.{len(modality)}.{modality == 'CT':d}")
    with pytest.raises(InputError, match="volumes of several modalities"):
        find_cases(tmp_path)
    assert find_cases(tmp_path, Request(image_pattern="/CT_")).modality == "CT"


def test_other_trees_of_dicom_are_plain_folders(tmp_path):
    write_slices(tmp_path / "p1" / "1.2.3", stored())
    write_slices(tmp_path / "p2" / "CT", stored(), series="1.2.9")
    assert find_cases(tmp_path).layout == "folder"
