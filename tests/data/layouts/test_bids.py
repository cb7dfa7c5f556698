"""Trees made after the specification of BIDS (v1.8.0: raw data, derivatives with dseg and mask)."""

import json

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import LEFT, RIGHT
from tests.data.volumes import ct, write_nifti


def image(root, place):
    return write_nifti(root / f"{place}.nii.gz", ct())


def label(root, place, array=LEFT):
    return write_nifti(root / "derivatives" / f"{place}.nii.gz", array)


def cases(root, **request):
    return {
        case.name: (case.patient, case.label and case.label.relative_to(root).as_posix())
        for case in find_cases(root, Request(**request)).cases
    }


def test_segmentations_with_a_table(tmp_path):
    for subject in ("01", "02"):
        image(tmp_path, f"sub-{subject}/anat/sub-{subject}_T1w")
    (tmp_path / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.8.0"}))
    label(tmp_path, "manual/sub-01/anat/sub-01_space-orig_dseg", LEFT + RIGHT * 4)
    label(tmp_path, "manual/sub-01/anat/sub-01_space-MNI152NLin2009cAsym_dseg", LEFT)
    (tmp_path / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tgray\n4\twhite\n")
    found = find_cases(tmp_path)
    assert (found.layout, found.modality, found.classes) == ("bids", "MR", {1: "gray", 4: "white"})
    assert cases(tmp_path) == {
        "sub-01": ("sub-01", "derivatives/manual/sub-01/anat/sub-01_space-orig_dseg.nii.gz"),
        "sub-02": ("sub-02", None),
    }
    assert check(found, progress=False).good == found.cases
    assert found.notes[0].startswith("1 labels of BIDS are passed over, for example sub-01_space-MNI152")


def test_sessions_are_cases_of_one_patient(tmp_path):
    for session in ("pre", "post"):
        image(tmp_path, f"sub-01/ses-{session}/anat/sub-01_ses-{session}_FLAIR")
        image(tmp_path, f"sub-01/ses-{session}/func/sub-01_ses-{session}_task-rest_bold")
        label(tmp_path, f"lesions/sub-01/ses-{session}/anat/sub-01_ses-{session}_desc-lesion_mask")
    assert find_cases(tmp_path).classes == {1: "lesion"}
    assert cases(tmp_path) == {
        f"sub-01_ses-{session}": (
            "sub-01", f"derivatives/lesions/sub-01/ses-{session}/anat/sub-01_ses-{session}_desc-lesion_mask.nii.gz",
        )
        for session in ("post", "pre")
    }  # fmt: skip


def test_a_mask_for_each_class(tmp_path):
    image(tmp_path, "sub-01/anat/sub-01_T2w")
    label(tmp_path, "hand/sub-01/anat/sub-01_label-R_mask", RIGHT)
    label(tmp_path, "hand/sub-01/anat/sub-01_label-L_mask", LEFT)
    found = find_cases(tmp_path)
    assert found.classes == {1: "L", 2: "R"}
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, LEFT + RIGHT * 2)


def test_several_kinds_of_images_need_a_pattern(tmp_path):
    for kind in ("T1w", "FLAIR"):
        image(tmp_path, f"sub-01/anat/sub-01_{kind}")
    with pytest.raises(InputError, match=r"images of several kinds \(FLAIR, T1w\); --image_pattern .*'_FLAIR\$'"):
        find_cases(tmp_path)
    (case,) = find_cases(tmp_path, Request(image_pattern="_T1w$")).cases
    assert case.image.name == "sub-01_T1w.nii.gz"


def test_kinds_are_channels_where_they_are_named(tmp_path):
    for subject in ("01", "02", "03"):
        for kind in ("T1w", "FLAIR", "T2w"):
            image(tmp_path, f"sub-{subject}/anat/sub-{subject}_{kind}")
        image(tmp_path, f"sub-{subject}/pet/sub-{subject}_pet")
    label(tmp_path, "manual/sub-01/anat/sub-01_dseg")
    label(tmp_path, "manual/sub-02/anat/sub-02_space-FLAIR_dseg")
    (tmp_path / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz").unlink()
    with pytest.raises(InputError, match="--channel_names takes them as channels: FLAIR,T1w,T2w,pet"):
        find_cases(tmp_path)
    found = find_cases(tmp_path, Request(channel_names="T1w,FLAIR"))
    assert (found.channels, found.channel_names, found.modality) == (2, ("T1w", "FLAIR"), "MR")
    assert [path.name for path in found.cases[0].files] == ["sub-01_T1w.nii.gz", "sub-01_FLAIR.nii.gz"]
    assert [(case.name, case.patient, case.label is not None) for case in found.cases] == [
        (f"sub-0{number}", f"sub-0{number}", number < 3) for number in (1, 2, 3)
    ]
    assert list(check(found, skip_bad=True, progress=False).bad.values()) == [
        f"{tmp_path}/sub-03/anat/sub-03_FLAIR.nii.gz: no such file"
    ]
    assert find_cases(tmp_path, Request(channel_names="T2w")).channel_names == ("T2w",)
    with_pet = find_cases(tmp_path, Request(channel_names="pet,T1w"))
    assert (with_pet.modalities, with_pet.cases[0].image.name) == (("unknown", "MR"), "sub-01_pet.nii.gz")
    assert find_cases(tmp_path, Request(channel_names="FLAIR=flair,T1w")).channel_names == ("flair", "T1w")
    with pytest.raises(InputError, match=r"channel_names T1c: .* has the kinds FLAIR, T1w, T2w, pet"):
        find_cases(tmp_path, Request(channel_names="T1w,T1c"))


def test_channels_by_a_pattern_may_have_entities(tmp_path):
    for place in ("sub-01_T1w", "sub-01_ce-gd_T1w", "sub-01_run-1_T2w"):
        image(tmp_path, f"sub-01/anat/{place}")
    label(tmp_path, "hand/sub-01/anat/sub-01_label-L_mask", LEFT)
    label(tmp_path, "hand/sub-01/anat/sub-01_label-R_mask", RIGHT)
    found = find_cases(tmp_path, Request(channel_pattern="_(T1w|ce-gd_T1w)$"))
    assert found.channel_names == ("T1w", "ce-gd_T1w")
    assert [(case.name, [path.name for path in case.files]) for case in found.cases] == [
        ("sub-01", ["sub-01_T1w.nii.gz", "sub-01_ce-gd_T1w.nii.gz"])
    ]
    assert len(load_volume(found.cases[0]).channels) == 2
    assert found.classes == {1: "L", 2: "R"}
    image(tmp_path, "sub-01/other/sub-01_T1w")
    with pytest.raises(InputError, match=r"two images of one channel \(.*anat/sub-01_T1w.* and .*other/sub-01_T1w"):
        find_cases(tmp_path, Request(channel_pattern="_(T1w|ce-gd_T1w)$"))
    with pytest.raises(InputError, match="no volume is a channel by --channel_pattern"):
        find_cases(tmp_path, Request(channel_pattern="_(PDw)$"))


def test_several_labels_need_a_pattern(tmp_path):
    image(tmp_path, "sub-01/anat/sub-01_T1w")
    for pipeline in ("fmriprep", "manual"):
        label(tmp_path, f"{pipeline}/sub-01/anat/sub-01_dseg")
    label(tmp_path, "fmriprep/sub-01/anat/sub-01_desc-brain_mask")
    with pytest.raises(InputError, match=r"fmriprep/sub-01/.* and .*\(several labels of one image\); --label_pattern"):
        find_cases(tmp_path)
    expected = "derivatives/manual/sub-01/anat/sub-01_dseg.nii.gz"
    assert cases(tmp_path, label_pattern="/manual/") == {"sub-01": ("sub-01", expected)}
    expected = "derivatives/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    assert cases(tmp_path, label_pattern="_desc-brain_mask$") == {"sub-01": ("sub-01", expected)}


def test_runs_have_labels_of_their_own(tmp_path):
    for run in ("1", "2"):
        image(tmp_path, f"sub-01/anat/sub-01_run-{run}_T1w")
        label(tmp_path, f"hand/sub-01/anat/sub-01_run-{run}_dseg")
    assert [place.rpartition("/")[2] for _, place in cases(tmp_path).values()] == [
        "sub-01_run-1_dseg.nii.gz", "sub-01_run-2_dseg.nii.gz",
    ]  # fmt: skip


@pytest.mark.parametrize("table", ["index\tlabel\n1\ta\n", "index\tname\nx\ta\n"])
def test_a_table_without_classes(tmp_path, table):
    image(tmp_path, "sub-01/anat/sub-01_T1w")
    path = label(tmp_path, "hand/sub-01/anat/sub-01_dseg")
    path.with_name("sub-01_dseg.tsv").write_text(table)
    with pytest.raises(InputError, match=r'sub-01_dseg\.tsv: no classes in it .*expected columns "index" and "name"'):
        find_cases(tmp_path)


def test_tables_that_contradict(tmp_path):
    for subject, name in (("01", "gray"), ("02", "white")):
        image(tmp_path, f"sub-{subject}/anat/sub-{subject}_T1w")
        path = label(tmp_path, f"hand/sub-{subject}/anat/sub-{subject}_dseg")
        path.with_name(f"sub-{subject}_dseg.tsv").write_text(f"index\tname\n1\t{name}\n")
    with pytest.raises(InputError, match=r"sub-02_dseg\.tsv: 1 is white, elsewhere gray"):
        find_cases(tmp_path)


def test_labels_in_the_space_of_their_image(tmp_path):
    name = "sub-r001s001_ses-1_space-MNI152NLin2009aSym"  # as in ATLAS 2
    image(tmp_path, f"sub-r001s001/ses-1/anat/{name}_T1w")
    label(tmp_path, f"atlas/sub-r001s001/ses-1/anat/{name}_label-L_desc-T1lesion_mask")
    label(tmp_path, "atlas/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI305_label-L_mask")
    ((_, found),) = cases(tmp_path).values()
    assert found.endswith("_label-L_desc-T1lesion_mask.nii.gz")


def test_what_a_mac_leaves_beside_a_table(tmp_path):
    image(tmp_path, "sub-01/anat/sub-01_T1w")
    label(tmp_path, "manual/sub-01/anat/sub-01_dseg", LEFT + RIGHT * 2)
    (tmp_path / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n1\tgray\n2\twhite\n")
    (tmp_path / "derivatives" / "manual" / "._dseg.tsv").write_bytes(b"\0\5\x16\7")
    assert find_cases(tmp_path).classes == {1: "gray", 2: "white"}
