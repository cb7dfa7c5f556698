"""Names whose letters with marks are stored in two forms, as a Mac and other systems have them, belong together; and
endings in large letters are those in small ones."""

import json
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.named_parts import name_cases
from segxfer3d.data.split_file import read_split_file
from segxfer3d.errors import InputError
from segxfer3d.inference.channels import ModelChannels
from segxfer3d.inference.inputs import find_inputs
from tests.data.io.test_segments import LEFT, RIGHT, write_segments
from tests.data.volumes import ct, write_itk, write_nifti

ONE, TWO = "M\u00fcller", "Mu\u0308ller"
FORMS = pytest.mark.parametrize(("said", "there"), [(ONE, TWO), (TWO, ONE)])
LABELS = {"background": 0, ONE: 1}


def pair(root, image, label):
    write_nifti(root / image, ct())
    write_nifti(root / label, LEFT)


def declare(root, **content):
    (root / "dataset.json").write_text(json.dumps(content))


def names(root, **request):
    found = find_cases(root, Request(**request))
    assert check(found, progress=False).good == found.cases
    return [(case.name, case.patient, case.label is not None) for case in found.cases]


@FORMS
def test_decathlon(tmp_path, said, there):
    pair(tmp_path, f"imagesTr/{there}.nii.gz", f"labelsTr/{there}.nii.gz")
    listed = {"image": f"./imagesTr/{said}.nii.gz", "label": f"./labelsTr/{said}.nii.gz"}
    declare(tmp_path, labels={"0": "background", "1": said}, modality={"0": "CT"}, training=[listed])
    assert names(tmp_path) == [(ONE, ONE, True)]
    assert find_cases(tmp_path).classes == {1: ONE}


@FORMS
def test_nnunet(tmp_path, said, there):
    for channel in ("0000", "0001"):
        write_nifti(tmp_path / "imagesTr" / f"{there}_{channel}.nii.gz", ct())
    write_nifti(tmp_path / "labelsTr" / f"{said}.nii.gz", LEFT)
    about = {"channel_names": {"0": said, "1": "T1"}, "labels": LABELS, "file_ending": ".nii.gz"}
    declare(tmp_path, **about)
    assert names(tmp_path) == [(ONE, ONE, True)]
    images = [f"imagesTr/{said}_{channel}.nii.gz" for channel in ("0000", "0001")]
    declare(tmp_path, **about, dataset={said: {"images": images, "label": f"labelsTr/{there}.nii.gz"}})
    assert names(tmp_path) == [(ONE, ONE, True)]
    first = [{"image": f"imagesTr/{said}.nii.gz", "label": f"labelsTr/{there}.nii.gz"}]
    declare(tmp_path, **about, training=first, validation=[])
    assert names(tmp_path) == [(ONE, ONE, True)]
    assert names(tmp_path, channel_names=f"T1,{there}") == [(ONE, ONE, True)]


@FORMS
def test_folders_and_masks_of_classes(tmp_path, said, there):
    pair(tmp_path / "a", f"images/{there}.nii.gz", f"labels/{said}.nii.gz")
    assert names(tmp_path / "a") == [(ONE, ONE, True)]
    pair(tmp_path / "b", f"{there}/ct.nii.gz", f"{there}/{said}_seg.nii.gz")
    patterns = {"image_pattern": "/ct$", "label_pattern": f"/{said}_seg$", "patient_pattern": said}
    assert names(tmp_path / "b", **patterns) == [(ONE, ONE, True)]
    write_nifti(tmp_path / "c" / "p1" / "image.nii.gz", ct())
    write_nifti(tmp_path / "c" / "p1" / "masks" / f"{there}.nii.gz", LEFT)
    declare(tmp_path / "c", labels={"background": 0, said: 1})
    assert names(tmp_path / "c") == [("p1", "p1", True)]
    write_itk(tmp_path / "d" / f"{there}.nrrd", ct())
    segments = write_segments(tmp_path / "d" / f"{said}.seg.nrrd", [LEFT], [("ORGAN", 0, 1)])
    segments.write_bytes(segments.read_bytes().replace(b"ORGAN", said.encode()))  # as 3D Slicer has it, in UTF-8
    declare(tmp_path / "d", labels={"background": 0, there: 3})
    assert names(tmp_path / "d") == [(ONE, ONE, True)]
    assert find_cases(tmp_path / "d").cases[0].label_map == ((1, 3),)
    scan = Path(f"{there}/{said}-")
    for contrast in ("t1n", "t1c", "t2w", "t2f", "seg"):
        write_nifti(tmp_path / "e" / f"{scan}{contrast}.nii.gz", LEFT)
    assert (find_cases(tmp_path / "e").layout, len(find_cases(tmp_path / "e").labeled)) == ("brats", 1)


@FORMS
def test_channels_of_files(tmp_path, said, there):
    for channel in (there, "T1"):
        write_nifti(tmp_path / f"p1_{channel}.nii.gz", ct())
    pattern = f"_({said}|T1)$"
    found = find_cases(tmp_path, Request(channel_pattern=pattern, channel_names=f"{said},T1"))
    assert (found.channel_names, [path.name for path in found.cases[0].files]) == (
        (ONE, "T1"),
        [f"p1_{there}.nii.gz", "p1_T1.nii.gz"],
    )
    model = ModelChannels.of({"channels": 2, "channel_names": [said, "T1"]}, "m.pt")
    (case,) = find_inputs(tmp_path, dims=3, channel_pattern=pattern, channels=model)
    assert [path.name for path in case.files] == [f"p1_{there}.nii.gz", "p1_T1.nii.gz"]


@FORMS
def test_split_files(tmp_path, said, there):
    cases = [Case(there, tmp_path / "a"), Case("b", tmp_path / "b", patient=f"{said} 2"), Case("c", tmp_path / "c")]
    (tmp_path / "s.json").write_text(json.dumps({"train": [f"imagesTr/{said}.nii.gz", "c"], "test": ["b"]}))
    expected = ({"train": {ONE, "c"}, "test": {"b"}},)
    assert name_cases(read_split_file(tmp_path / "s.json"), cases, labels=False) == expected
    table = f"case,part\n{said},train\nc,train\nb,test\n"
    (tmp_path / "s.csv").write_text(table, encoding="utf-8")
    assert name_cases(read_split_file(tmp_path / "s.csv"), cases, labels=False) == expected
    (tmp_path / "p.json").write_text(json.dumps({"train": [f"{there} 2"], "test": ["c"], "unit": "patient"}))
    (by_patient,) = name_cases(read_split_file(tmp_path / "p.json"), cases[1:], labels=False)
    assert by_patient == {"train": {"b"}, "test": {"c"}}


@pytest.mark.parametrize(
    ("places", "what"),
    [
        (["images/{}.nii.gz", "labels/{}.nii.gz"], "two volumes are called"),
        (["{}/image.nii.gz", "{}/label.nii.gz"], "several cases of one name"),
        (["imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"], "two files of one channel"),
        (["p1/image.nii.gz", "p1/masks/{}.nii.gz"], "two files of one name"),
    ],
)
def test_both_forms_in_one_folder_are_refused_and_said(tmp_path, places, what):
    for name in (ONE, TWO):
        for place in places:
            write_nifti(tmp_path / place.format(name), LEFT)
    if "imagesTr" in places[0]:
        declare(tmp_path, channel_names={"0": "CT"}, labels=LABELS, file_ending=".nii.gz")
    with pytest.raises(InputError, match=what) as refused:
        find_cases(tmp_path)
    assert "(they look alike: their letters with marks are stored in two forms)" in str(refused.value)


def test_endings_in_large_letters(tmp_path):
    write_itk(tmp_path / "a" / "scan.nrrd", ct()).rename(tmp_path / "a" / "scan.NRRD")
    write_segments(tmp_path / "a" / "scan.seg.nrrd", [LEFT + 2 * RIGHT], [("left", 0, 1), ("right", 0, 2)]).rename(
        tmp_path / "a" / "scan.SEG.NRRD"
    )
    found = find_cases(tmp_path / "a")
    assert (found.layout, found.classes, names(tmp_path / "a")) == (
        "slicer",
        {1: "left", 2: "right"},
        [("scan", "scan", True)],
    )
    write_itk(tmp_path / "b" / "images" / "c.nrrd", ct()).rename(tmp_path / "b" / "images" / "c.NRRD")
    write_segments(tmp_path / "b" / "labels" / "c.seg.nrrd", [LEFT], [("left", 0, 1)]).rename(
        tmp_path / "b" / "labels" / "c.SEG.NRRD"
    )
    assert (find_cases(tmp_path / "b").classes, names(tmp_path / "b")) == ({1: "left"}, [("c", "c", True)])
    (case,) = find_inputs(tmp_path / "b" / "images" / "c.NRRD", dims=3)
    assert case.name == "c"
    folder = tmp_path / "d" / "p1"
    for name in ("image", "label"):
        write_nifti(folder / f"{name}.nii.gz", LEFT).rename(folder / f"{name.upper()}.NII.GZ")
    assert names(tmp_path / "d", modality="MR") == [("p1", "p1", True)]
    assert find_cases(tmp_path / "d").layout == "patients"
