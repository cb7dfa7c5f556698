"""Trees as BraTS has them since 2023, and until 2021."""

import json
import shlex

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, about, find_cases
from segxfer3d.errors import InputError
from tests.data.volumes import write_nifti

NEW = ("-t1n", "-t1c", "-t2w", "-t2f")
OLD = ("_t1", "_t1ce", "_t2", "_flair")


def scan(root, name, endings=NEW, label=True):
    for ending in (*endings, *([f"{endings[0][0]}seg"] if label else [])):
        write_nifti(root / name / f"{name}{ending}.nii.gz", np.zeros((4, 4, 4), np.uint8))


def test_four_channels_in_their_order_and_scans_of_one_patient(tmp_path):
    root = tmp_path / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00008-000"):
        scan(root, name, label=name != "BraTS-GLI-00008-000")
    for place in (tmp_path, root):
        found = find_cases(place)
        assert (found.layout, found.modality, found.channels) == ("brats", "MR", 4)
        assert found.channel_names == ("T1", "T1 contrast", "T2", "FLAIR")
        assert about(found).endswith("2 labeled, 4 channels (T1, T1 contrast, T2, FLAIR)")
        assert found.classes == {1: "necrotic core", 2: "edema", 3: "enhancing tumor"}
    assert [(case.name, case.patient, case.label is not None) for case in found.cases] == [
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005", True),
        ("BraTS-GLI-00005-001", "BraTS-GLI-00005", True),
        ("BraTS-GLI-00008-000", "BraTS-GLI-00008", False),
    ]
    assert [path.name[19:] for path in found.cases[0].files] == [f"{ending}.nii.gz" for ending in NEW]
    assert find_cases(tmp_path, Request(patient_pattern=".*")).cases[0].patient == "BraTS-GLI-00005-000"


def test_until_2021(tmp_path):
    scan(tmp_path, "BraTS2021_00030", OLD)
    found = find_cases(tmp_path)
    assert found.classes == {1: "necrotic core", 2: "edema", 4: "enhancing tumor"}
    assert [path.name for path in found.cases[0].files] == [f"BraTS2021_00030{ending}.nii.gz" for ending in OLD]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"core": 1, "edema": 2, "enhancing": 3}}))
    assert find_cases(tmp_path).classes == {1: "core", 2: "edema", 3: "enhancing"}


def test_missing_channels_are_named_all_at_once_and_can_be_skipped(tmp_path):
    for number in range(3):
        scan(tmp_path, f"BraTS-GLI-0000{number}-000")
    (tmp_path / "BraTS-GLI-00001-000" / "BraTS-GLI-00001-000-t2f.nii.gz").unlink()
    (tmp_path / "BraTS-GLI-00002-000" / "BraTS-GLI-00002-000-t1n.nii.gz").unlink()
    found = find_cases(tmp_path)
    message = r"(?s)2 of 3 cases cannot be used.*00001-000-t2f\.nii\.gz: no such file.*00002-000-t1n\.nii\.gz: no such"
    with pytest.raises(InputError, match=message):
        check(found, progress=False)
    assert [case.name for case in check(found, skip_bad=True, progress=False).good] == ["BraTS-GLI-00000-000"]


def test_a_pattern_of_channels_says_more_than_names(tmp_path):
    scan(tmp_path, "BraTS-GLI-00000-000")
    request = {"channel_pattern": "-(t1n|t2f)$", "label_pattern": "-seg$", "image_pattern": "-t..$"}
    found = find_cases(tmp_path, Request(**request))
    assert (found.layout, found.channel_names, len(found.labeled)) == ("folder", ("t1n", "t2f"), 1)
    with pytest.raises(InputError, match=r"channel_pattern .*: the layout brats .* --channel_names picks among them"):
        find_cases(tmp_path, Request(layout="brats", **request))


def test_both_kinds_of_names(tmp_path):
    scan(tmp_path, "BraTS-GLI-00000-000")
    scan(tmp_path, "BraTS2021_00030", OLD)
    with pytest.raises(InputError, match="called as since 2023 and as before"):
        find_cases(tmp_path)


def test_a_label_of_another_name_is_said(tmp_path):
    for name in ("BraTS20_Training_354", "BraTS20_Training_355"):
        scan(tmp_path, name, OLD)
    label = tmp_path / "BraTS20_Training_355" / "BraTS20_Training_355_seg.nii.gz"
    label.rename(label.with_name("W39_1998.09.19_Segm.nii.gz"))  # as in the archive of 2020
    found = find_cases(tmp_path)
    assert [case.label is None for case in found.cases] == [False, True]
    assert found.notes == (
        f"1 volumes are no channel and no label, for example {label.parent}/W39_1998.09.19_Segm.nii.gz",
    )


@pytest.mark.parametrize(
    ("endings", "label", "way"),
    [
        (("_t1", "_flair"), True, "--channel_pattern '_(t1|flair)$' --label_pattern '_seg$'"),
        (("-t1n", "-t2w", "-t2f"), False, "--channel_pattern '-(t1n|t2w|t2f)$'"),
        (("_t1",), True, "--image_pattern '_t1$' --modality MR --label_pattern '_seg$'"),
    ],
)
def test_a_channel_that_no_scan_has_is_said_with_the_way_on(endings, label, way, tmp_path):
    for name in ("p0", "p1"):
        scan(tmp_path, name, endings, label)
    lacking = [ending for ending in (OLD if endings[0][0] == "_" else NEW) if ending not in endings]
    with pytest.raises(InputError) as error:
        find_cases(tmp_path)
    said = f"{tmp_path}: files called as BraTS calls them, but no scan has {', '.join(lacking)}; the others are read by"
    assert str(error.value).startswith(f"{said} --dataset folder {way} (")
    words = shlex.split(f"--dataset folder {way}")
    options = {name[2:]: value for name, value in zip(words[::2], words[1::2], strict=True)}
    found = find_cases(tmp_path, Request(layout=options.pop("dataset"), **options))
    assert (len(found.cases), len(found.labeled), found.channels) == (2, 2 * label, len(endings))
    assert check(found, progress=False).good == found.cases


def test_a_dataset_json_that_names_channels_is_not_of_nnunet(tmp_path):
    scan(tmp_path, "BraTS2021_00030", OLD)
    names = {str(number): name for number, name in enumerate(("T1", "T1CE", "T2", "FLAIR"))}
    content = {"channel_names": names, "labels": {"background": 0, "core": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert find_cases(tmp_path).layout == "brats"
