"""What a user may get wrong, through the bundles: refused before any work, the culprit named, nothing left behind."""

import json
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.data.volumes import ct, write_dicom, write_itk, write_nifti

BUNDLES = Path(__file__).parents[2] / "bundles"
SHAPE = (20, 18, 12)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
TINY = {
    "width": 2, "patch_size": [16, 16, 8], "max_epochs": 2, "steps_per_epoch": 2, "batch_size": 2, "progress": False,
    "device": "cpu",
}  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def label(shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[4:10, 4:10, 3:8] = 1
    return array


def write_dataset(root, patients=5):
    for i in range(patients):
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", ct(SHAPE, i), AFFINE)
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label(), AFFINE)
    return root


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("good") / "set")


@pytest.fixture(scope="module")
def models(good, tmp_path_factory):
    """A pretrained and a fine-tuned model, tiny."""
    root = tmp_path_factory.mktemp("models")
    knobs = {**TINY, "dataset_dir": str(good)}
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(root / "p"), **knobs)
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(root / "f"), init="random", **knobs)
    return {"pretrained": str(root / "p" / "model.pt"), "finetuned": str(root / "f" / "model.pt")}


def refused(bundle, folder, message, **knobs):
    """Run a bundle that has to refuse its input; everything below ``folder`` has to stay as it is."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as caught:
        run_bundle(BUNDLES / f"{bundle}.json", output_dir=str(folder / "run"), **knobs)
    text = str(caught.value)
    assert re.search(message, text), text
    assert text.count("\n") < 5, text
    assert sorted(folder.rglob("*")) == before


# --- data: how a good data set is broken, and what the message has to hold ---


def image(root, name="p1"):
    return root / "imagesTr" / f"{name}.nii.gz"


def labels(root, name="p1"):
    return root / "labelsTr" / f"{name}.nii.gz"


def replace_by_dicom(root, **how):
    image(root).unlink()
    write_dicom(root / "imagesTr" / "p1", ct(SHAPE), AFFINE, **how)


def two_series(root):
    replace_by_dicom(root, series="1.2.3")
    write_dicom(root / "imagesTr" / "p1", ct((20, 18, 6)), AFFINE, series="1.2.4")


def with_value(array, value):
    array[2, 2, 2] = value
    return array


def without_raw(root):
    image(root).unlink()
    write_itk(root / "imagesTr" / "p1.mhd", ct(SHAPE), AFFINE).with_suffix(".raw").unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def empty(root):
    for folder in ("imagesTr", "labelsTr"):
        shutil.rmtree(root / folder)


def fewer(root):
    for name in ("p2", "p3", "p4"):
        image(root, name).unlink()
        labels(root, name).unlink()


BROKEN_IMAGES = {
    "folder missing": (shutil.rmtree, r"dataset_dir .*set: no such folder"),
    "folder empty": (empty, r"dataset_dir .*set: no volumes in it"),
    "nan": (lambda r: write_nifti(image(r), with_value(ct(SHAPE).astype("f4"), np.nan)), r"p1\.nii\.gz: NaN or inf"),
    "infinite": (lambda r: write_nifti(image(r), with_value(ct(SHAPE).astype("f4"), np.inf)), r"p1\.nii\.gz: NaN or"),
    "truncated": (lambda r: cut(image(r)), r"p1\.nii\.gz: cannot be read, damaged or truncated"),
    "mhd without raw": (without_raw, r"p1\.mhd: its data file p1\.raw is missing"),
    "2D among volumes": (lambda r: write_nifti(image(r), ct((20, 18))), r"p1\.nii\.gz: expected a 3D volume.*20x18"),
    "two series": (two_series, r"imagesTr/p1: 2 DICOM series in one folder, expected one: 1\.2\.3 \(12 files\)"),
    "slice missing": (lambda r: replace_by_dicom(r, without=[5]), r"imagesTr/p1: a DICOM slice is missing"),
}
BROKEN_LABELS = {
    "image without label": (lambda r: labels(r).unlink(), r"imagesTr/p1\.nii\.gz \(image without label\)"),
    "label without image": (lambda r: image(r).unlink(), r"labelsTr/p1\.nii\.gz \(label without image\)"),
    "other shape": (lambda r: write_nifti(labels(r), label((20, 18, 11)), AFFINE), r"labelsTr/p1.*20x18x11 is not"),
    "other affine": (lambda r: write_nifti(labels(r), label(), 2 * AFFINE), r"labelsTr/p1.*affine is not its image's"),
    "undeclared value": (lambda r: write_nifti(labels(r), 3 * label(), AFFINE), r"labelsTr/p1.*values 3; expected 0"),
    "label nan": (
        lambda r: write_nifti(labels(r), with_value(label().astype("f4"), np.nan), AFFINE), r"labelsTr/p1.*NaN",
    ),
    "no labels at all": (lambda r: shutil.rmtree(r / "labelsTr"), r"set: no labels found.*needs image/label pairs"),
    "too few patients": (fewer, r"2 patients are fewer than the split needs: at least 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*BROKEN_IMAGES, *BROKEN_LABELS])
def test_finetuning_refuses_data(case, good, tmp_path):
    break_it, message = {**BROKEN_IMAGES, **BROKEN_LABELS}[case]
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it(root)
    refused("genesis_finetune", tmp_path, message, dataset_dir=str(root), init="random", **TINY)


@pytest.mark.parametrize("case", [case for case in BROKEN_IMAGES if case != "infinite"])
def test_pretraining_refuses_volumes(case, good, tmp_path):
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it, message = BROKEN_IMAGES[case]
    if case != "folder missing" and case != "folder empty":
        shutil.rmtree(root / "labelsTr")
    break_it(root)
    refused("genesis_pretrain", tmp_path, message, dataset_dir=str(root), **TINY)


@pytest.mark.parametrize("case", ["folder missing", "truncated", "other shape", "no labels at all"])
def test_evaluation_refuses_data(case, good, models, tmp_path):
    break_it, message = {**BROKEN_IMAGES, **BROKEN_LABELS}[case]
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it(root)
    knobs = {"dataset_dir": str(root), "checkpoint": models["finetuned"], "progress": False, "device": "cpu"}
    refused("evaluate", tmp_path, message, **knobs)


def test_every_bad_case_is_listed_and_can_be_left_out(good, tmp_path, caplog):
    root = Path(shutil.copytree(good, tmp_path / "set"))
    cut(image(root, "p0"))
    write_nifti(labels(root, "p1"), 7 * label(), AFFINE)
    knobs = {**TINY, "dataset_dir": str(root), "init": "random", "validation_fraction": 0}
    refused("genesis_finetune", tmp_path, r"2 of 5 cases .*--skip_bad_cases True(.|\n)*p0(.|\n)*p1.*values 7", **knobs)
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), skip_bad_cases=True, **knobs)
    assert sorted(json.loads((tmp_path / "run" / "data_check.json").read_text(encoding="utf-8"))["bad"]) == ["p0", "p1"]


def test_empty_labels_and_small_volumes_are_fine_and_said(tmp_path, caplog):
    root = write_dataset(tmp_path / "set")
    for i in (0, 2, 3, 4):
        small = (12, 10, 6) if i % 2 else SHAPE
        write_nifti(image(root, f"p{i}"), ct(small, i), AFFINE)
        write_nifti(labels(root, f"p{i}"), label(small) * (i > 0), AFFINE)
    write_nifti(labels(root, "p4"), 0 * label(), AFFINE)
    knobs = {"dataset_dir": str(root), "progress": False, "device": "cpu"}
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(tmp_path / "p"), **{**TINY, **knobs})
        run_bundle(
            BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "f"), checkpoint=str(tmp_path / "p/model.pt"),
            **{**TINY, **knobs},
        )  # fmt: skip
        run_bundle(
            BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), checkpoint=str(tmp_path / "f/model.pt"),
            part="all", **knobs,
        )  # fmt: skip
    assert "2 labels are empty: p0, p4" in caplog.text
    assert "1 of 5 volumes are smaller than the patch [16, 16, 8]: padded" in caplog.text
    check = json.loads((tmp_path / "f" / "data_check.json").read_text(encoding="utf-8"))
    assert check["empty_labels"] == ["p0", "p4"]
    summary = json.loads((tmp_path / "e" / "cases_summary.json").read_text(encoding="utf-8"))
    assert (summary["cases"], summary["empty_labels"]) == (5, 2)


# --- checkpoints ---


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("code-from-a-checkpoint-ran"),)


def bad_checkpoint(kind, folder, models):
    path = folder / f"{kind}.pt"
    if kind == "text":
        path.write_text("hello")
    elif kind == "evil":
        torch.save({"state_dict": Evil()}, path)
    elif kind == "cut":
        path.write_bytes(Path(models["finetuned"]).read_bytes()[:5000])
    elif kind == "other":
        torch.save({"state_dict": {"x": torch.zeros(1)}}, path)
    elif kind == "version":
        torch.save({**torch.load(models["finetuned"], weights_only=True), "version": 99}, path)
    elif kind == "incomplete":
        content = torch.load(models["finetuned"], weights_only=True)
        del content["network"], content["provenance"]
        torch.save(content, path)
    elif kind == "folder":
        path.mkdir()
    return str(path)


CHECKPOINTS = {
    "missing": r"missing\.pt: no such file",
    "folder": r"folder\.pt: no such file",
    "text": r"text\.pt: (refused|not a checkpoint)",
    "evil": r"evil\.pt: refused, the file is not plain tensors",
    "cut": r"cut\.pt: not a checkpoint, or damaged",
    "other": r"other\.pt: (no Models Genesis 3D checkpoint|expected a segxfer3d-model)",
    "version": r"version\.pt: format version 99, expected 1",
    "incomplete": r"incomplete\.pt: .*network",
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
@pytest.mark.parametrize("bundle", ["genesis_finetune", "infer"])
def test_checkpoints_are_refused(bundle, kind, good, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = bad_checkpoint(kind, tmp_path, models)
    knobs = {"checkpoint": path, "progress": False, "device": "cpu"}
    knobs |= {"input": str(image(good))} if bundle == "infer" else {**TINY, "dataset_dir": str(good)}
    refused(bundle, tmp_path, CHECKPOINTS[kind], **knobs)
    assert not (tmp_path / "code-from-a-checkpoint-ran").exists()


# --- what infer is given ---

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


def test_infer_needs_a_finetuned_model(models, good, tmp_path):
    knobs = {"input": str(image(good)), "progress": False, "device": "cpu"}
    refused("infer", tmp_path, r"a pretrained model, it segments nothing yet", checkpoint=models["pretrained"], **knobs)
    refused("infer", tmp_path, r"checkpoint: expected model\.pt of a fine-tuning run", **knobs)
    refused("infer", tmp_path, r"input \(none\): no such", checkpoint=models["finetuned"], device="cpu")


def test_infer_takes_any_orientation_and_dicom(models, tmp_path):
    source = tmp_path / "in"
    turned = np.array([[0, 0, -2.0, 7], [-1.5, 0, 0, 3], [0, 1.0, 0, 1], [0, 0, 0, 1]])
    write_nifti(source / "turned.nii.gz", ct(SHAPE), turned)
    write_dicom(source / "series", ct(SHAPE))
    small = write_nifti(source / "small.nii", ct((9, 8, 5)), AFFINE)
    run_bundle(
        BUNDLES / "infer.json", input=str(source), checkpoint=models["finetuned"], output_dir=str(tmp_path / "out"),
        progress=False, device="cpu",
    )  # fmt: skip
    mask = nibabel.load(tmp_path / "out" / "turned_mask.nii.gz")
    assert mask.shape == SHAPE
    assert np.allclose(mask.affine, turned)
    assert nibabel.load(tmp_path / "out" / "small_mask.nii.gz").shape == nibabel.load(small).shape
    assert nibabel.load(tmp_path / "out" / "series_mask.nii.gz").shape == SHAPE


# --- knobs ---


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"datasetdir": "x"}, "--datasetdir: .*did you mean --dataset_dir"),
        ({"init": "encode"}, "init: expected one of random, encoder, .*got 'encode'"),
        ({"label_fraction": 0}, "label_fraction: expected a number above 0 and at most 1, or none, got 0"),
        ({"label_fraction": 1.2}, "label_fraction: .*got 1.2"),
        ({"label_fraction": 0.5, "label_count": 2}, "label_fraction and label_count: expected one of them, got both"),
        ({"label_count": 4}, r"label_count: expected 1 to 3 \(the training patients\), got 4"),
        ({"label_fraction": 0.01}, "label_fraction 0.01 of 3 training patients is none"),
        ({"patch_size": [16, 16, 10]}, r"patch_size: expected three multiples of 8 up to 1024, got \[16, 16, 10\]"),
        ({"patch_size": 16}, "patch_size: expected three multiples of 8 up to 1024, got 16"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"lr": "fast"}, "lr: expected a number above 0 and at most 1000, got 'fast'"),
        ({"checkpoint": ""}, "checkpoint: init encoder needs one.*genesis_pretrain.json"),
        (
            {"init": "encoder", "checkpoint": "@pretrained", "width": 3},
            "its network has width 2, this one 3",
        ),
        ({"output_dir": "@file"}, r"output_dir: .*run cannot be written \(.*p0\.nii\.gz is no writable folder\)"),
        ({"resume": True}, "resume: .*run holds no run to go on with"),
        ({"patient_pattern": "q(.)"}, "patient_pattern 'q.*': finds no patient in the file name 'p0'"),
    ],
)
def test_knobs_are_refused(knobs, message, good, models, tmp_path):
    values = {"init": "random", **TINY, "dataset_dir": str(good), "output_dir": str(tmp_path / "run"), **knobs}
    if "checkpoint" in knobs:
        values |= {"init": "encoder", "checkpoint": knobs["checkpoint"].replace("@pretrained", models["pretrained"])}
    values["output_dir"] = values["output_dir"].replace("@file", str(image(good, "p0") / "run"))
    with pytest.raises(InputError, match=message):
        run_bundle(BUNDLES / "genesis_finetune.json", **values)
    assert list(tmp_path.iterdir()) == []


def test_infer_has_no_dataset_dir(tmp_path):
    refused("infer", tmp_path, "--dataset_dir: this bundle takes --input instead", dataset_dir="x")


def test_configs_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"bundle nowhere\.json: no such file"):
        run_bundle("nowhere.json")
    (tmp_path / "broken.json").write_text('{"a": 1,')
    with pytest.raises(InputError, match=r"broken\.json: no JSON or YAML that can be read \(.*line 1"):
        run_bundle(tmp_path / "broken.json")
