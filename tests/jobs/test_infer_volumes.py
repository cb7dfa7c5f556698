"""What infer is given: volumes of any orientation and format, and what is refused."""

import nibabel
import numpy as np
import pytest

from segxfer3d.data.preprocessing import loaded_volumes
from segxfer3d.data.preprocessing.loaded_channels import load_channels
from segxfer3d.errors import InputError
from segxfer3d.inference import predicting
from segxfer3d.run.bundle import run_bundle
from tests.data.volumes import ct, write_dicom, write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, SHAPE, cut, image, refused

pytestmark = MARKS

INPUTS = {
    "missing": (lambda f: None, r"input .*scan: no such file or folder"),
    "empty folder": (lambda f: f.mkdir(), r"input .*scan: no volumes in this folder"),
    "a text file": (lambda f: f.write_text("x"), r"input .*scan: expected a volume \(\.nii\.gz, \.nii"),
    "2D": (lambda f: write_nifti(f / "a.nii.gz", ct((20, 18))), r"a\.nii\.gz: expected a 3D volume"),
    "damaged": (lambda f: cut(write_nifti(f / "a.nii.gz", ct(SHAPE))), r"a\.nii\.gz: cannot be read"),
    "two series": (
        lambda f: [write_dicom(f, ct(SHAPE), series=s) for s in ("1.2.3", "1.2.4")], r"scan: 2 DICOM series",
    ),
    "slice missing": (lambda f: write_dicom(f, ct(SHAPE), without=[4]), r"scan: a DICOM slice is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_infer_refuses_input(case, models, tmp_path):
    make, message = INPUTS[case]
    make(tmp_path / "scan")
    knobs = {"input": str(tmp_path / "scan"), "checkpoint": models["finetuned"], "progress": False, "device": "cpu"}
    refused("infer", tmp_path, message, **knobs)


@pytest.mark.parametrize(
    ("mask_format", "message"),
    [("dicom-seg", r"for DICOM only, .*p1\.nii\.gz is none"), ("tiff", r"mask_format: expected one of auto, nii\.gz")],
)
def test_infer_refuses_formats_before_it_starts(models, good, tmp_path, mask_format, message):
    knobs = {"input": str(image(good)), "checkpoint": models["finetuned"], "progress": False, "device": "cpu"}
    refused("infer", tmp_path, message, mask_format=mask_format, **knobs)


def test_infer_needs_a_finetuned_model(models, good, tmp_path):
    knobs = {"input": str(image(good)), "progress": False, "device": "cpu"}
    refused("infer", tmp_path, r"a pretrained model, it segments nothing yet", checkpoint=models["pretrained"], **knobs)
    refused("infer", tmp_path, r"checkpoint: expected model\.pt of a fine-tuning run", **knobs)
    refused("infer", tmp_path, r"input \(none\): no such", checkpoint=models["finetuned"], device="cpu")


def test_infer_takes_any_orientation_and_dicom(models, tmp_path, caplog):
    source = tmp_path / "in"
    turned = np.array([[0, 0, -2.0, 7], [-1.5, 0, 0, 3], [0, 1.0, 0, 1], [0, 0, 0, 1]])
    write_nifti(source / "turned.nii.gz", ct(SHAPE), turned)
    write_dicom(source / "series", ct(SHAPE))
    small = write_nifti(source / "small.nii", ct((9, 8, 5)), AFFINE)
    (source / "notes.txt").write_text("words")
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(
            BUNDLES / "infer.json", input=str(source), checkpoint=models["finetuned"],
            output_dir=str(tmp_path / "out"), progress=False, device="cpu",
        )  # fmt: skip
    assert "1 files are no volumes and are passed over (1 .txt), for example notes.txt" in caplog.text
    mask = nibabel.load(tmp_path / "out" / "turned_mask.nii.gz")
    assert mask.shape == SHAPE
    assert np.allclose(mask.affine, turned)
    assert nibabel.load(tmp_path / "out" / "small_mask.nii.gz").shape == nibabel.load(small).shape
    assert nibabel.load(tmp_path / "out" / "series_mask.nii.gz").shape == SHAPE


def test_what_is_written_stays_whatever_happens_to_the_next(models, tmp_path, monkeypatch, caplog):
    for name in "abc":
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", ct(SHAPE))
    original = predicting.read_scaled

    def read(preprocessing, case, kept):
        if case.name == "b":
            raise InputError(f"{case.image}: cannot be read")
        return original(preprocessing, case, kept)

    monkeypatch.setattr(predicting, "read_scaled", read)
    out = tmp_path / "out"
    with caplog.at_level("INFO", "segxfer3d"), pytest.raises(InputError, match=r"b\.nii\.gz: cannot be read"):
        run_bundle(
            BUNDLES / "infer.json", input=str(tmp_path / "in"), checkpoint=models["finetuned"], output_dir=str(out),
            progress=False, device="cpu",
        )  # fmt: skip
    assert [path.name for path in out.glob("*_mask.nii.gz")] == ["a_mask.nii.gz"]
    assert (out / "components.csv").is_file()
    assert "1/3 a: " in caplog.text
    assert "2/3" not in caplog.text


def test_a_volume_that_was_checked_is_not_read_again(models, tmp_path, monkeypatch):
    for name in "ab":
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", ct(SHAPE))
    read = []
    original = load_channels
    monkeypatch.setattr(loaded_volumes, "load_channels", lambda case: read.append(case.name) or original(case))
    run_bundle(
        BUNDLES / "infer.json", input=str(tmp_path / "in"), checkpoint=models["finetuned"],
        output_dir=str(tmp_path / "out"), progress=False, device="cpu",
    )  # fmt: skip
    assert sorted(read) == ["a", "b"]
