"""Volumes of several channels, from files to masks: one file of four axes, or a file for each channel."""

import json
import shutil

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from segxfer3d.evaluation.previews import read_previews
from segxfer3d.inference.channels import ModelChannels
from segxfer3d.inference.inputs import find_inputs
from segxfer3d.inference.model import load_model
from segxfer3d.report.page import write_report
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights.checkpoint import read_model
from tests.data.volumes import write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, SHAPE, TINY, label, refused

pytestmark = MARKS

NAMES = ("T1", "CT", "PET")
FINETUNE = TINY | {
    "init": "random", "recipe": "paper", "network": "plain_unet", "label_count": 2, "max_epochs": 1,
    "spacing": [1.0, 1.0, 2.0],
}  # fmt: skip


def channels(seed):
    """Three channels of other scales: positive, in HU, and small."""
    random = np.random.default_rng(seed)
    return [
        random.integers(0, 900, SHAPE).astype(np.int16),
        random.integers(-1000, 1500, SHAPE).astype(np.int16),
        random.gamma(2.0, 1.5, SHAPE).astype(np.float32),
    ]


def write_labels(root, patients):
    for i in range(patients):
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label(), AFFINE)


def one_file_each(root, patients=5, names=NAMES):
    """As Task01 of the Decathlon."""
    for i in range(patients):
        array = np.stack(channels(i), axis=-1).astype(np.float32)[..., : len(names)]
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", array, AFFINE)
    write_labels(root, patients)
    content = {
        "modality": {str(i): name for i, name in enumerate(names)},
        "labels": {"0": "background", "1": "tumor"},
        "training": [{"image": f"imagesTr/p{i}.nii.gz", "label": f"labelsTr/p{i}.nii.gz"} for i in range(patients)],
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def files_by_channel(root, patients=5, endings=("_0000", "_0001", "_0002")):
    """As nnU-Net, each channel in its own type."""
    for i in range(patients):
        for ending, array in zip(endings, channels(i), strict=True):
            write_nifti(root / "imagesTr" / f"p{i}{ending}.nii.gz", array, AFFINE)
    write_labels(root, patients)
    return root


def nnunet(root):
    files_by_channel(root)
    content = {
        "channel_names": dict(enumerate(NAMES)), "labels": {"background": 0, "tumor": 1}, "numTraining": 5,
        "file_ending": ".nii.gz",
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def finetuned(root, out, **knobs):
    run_bundle(BUNDLES / "genesis_finetune.json", dataset_dir=str(root), output_dir=str(out), **{**FINETUNE, **knobs})
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = one_file_each(tmp_path_factory.mktemp("decathlon"))
    return root, finetuned(root, tmp_path_factory.mktemp("run") / "finetune")


def test_a_model_knows_its_channels(trained):
    _, run = trained
    model = read_model(run / "model.pt")
    assert model["network"]["arguments"]["in_channels"] == 3
    about = model["preprocessing"]
    assert (about["channels"], about["channel_names"]) == (3, list(NAMES))
    # auto, without a plan: a window of HU for CT, percentiles for all else
    assert [about["intensity"], *(scale["intensity"] for scale in about["further"])] == [
        "percentile", "window", "percentile",
    ]  # fmt: skip


def test_files_by_channel_give_the_same_dice(trained, tmp_path):
    _, run = trained
    expected = (run / "cases.csv").read_text()
    assert (finetuned(nnunet(tmp_path / "nnunet"), tmp_path / "a") / "cases.csv").read_text() == expected
    words = files_by_channel(tmp_path / "words", endings=("_T1", "_CT", "_PET"))
    pattern = {"channel_pattern": "_(T1|CT|PET)$", "channel_names": ",".join(NAMES)}
    assert (finetuned(words, tmp_path / "b", **pattern) / "cases.csv").read_text() == expected


def test_what_the_network_sees(trained):
    root, run = trained
    model = load_model(run / "model.pt")
    case_set = find_cases(root)
    image = model.preprocessing.read(case_set.cases[0], case_set, label=False)["image"]
    t1, ct, pet = channels(0)
    assert image.shape == (3, *SHAPE)
    np.testing.assert_allclose(image[1], (ct.clip(-1000, 1000) + 1000) / 2000, atol=1e-5)
    for seen, array in ((image[0], t1), (image[2], pet)):
        low, high = np.percentile(array, (0.5, 99.5))
        np.testing.assert_allclose(seen, ((array - low) / (high - low)).clip(0, 1), atol=1e-5)
    (held,) = model.preprocessing.hold(case_set.cases[:1], case_set, labels=False, progress=False)
    assert torch.equal(held["image"], image.as_tensor())


def test_infer_and_evaluate(trained, tmp_path):
    root, run = trained
    evaluate = {"dataset_dir": str(root), "checkpoint": str(run / "model.pt"), "progress": False, "device": "cpu"}
    run_bundle(BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), **evaluate)
    assert (tmp_path / "e" / "cases.csv").read_text() == (run / "cases.csv").read_text()
    split = files_by_channel(tmp_path / "split") / "imagesTr"
    knobs = {"checkpoint": str(run / "model.pt"), "progress": False, "device": "cpu", "amp": False}  # as load_model
    run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "a"), input=str(root / "imagesTr"), **knobs)
    run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "b"), input=str(split), **knobs)
    for i in range(5):
        whole, files = (nibabel.load(tmp_path / each / f"p{i}_mask.nii.gz") for each in "ab")
        assert whole.shape == SHAPE
        np.testing.assert_array_equal(whole.affine, AFFINE)
        np.testing.assert_array_equal(np.asarray(whole.dataobj), np.asarray(files.dataobj))
    first, *further = (split / f"p0_000{channel}.nii.gz" for channel in range(3))
    mask = load_model(run / "model.pt").predict(Case("p0", first, further=tuple(further))).mask
    np.testing.assert_array_equal(mask, np.asarray(nibabel.load(tmp_path / "a" / "p0_mask.nii.gz").dataobj))


def test_values_unlike_training_s_are_said_of_each_channel(trained, tmp_path, caplog):
    _, run = trained
    assert len(read_model(run / "model.pt")["provenance"]["seen"]["further_values"]) == 2
    t1, ct, pet = channels(0)
    image = np.stack([50 * t1, ct.astype(np.int32) * 9, 70 * pet], axis=-1).astype(np.float32)
    write_nifti(tmp_path / "in" / "odd.nii.gz", image, AFFINE)  # of which CT alone is scaled by a fixed window
    caplog.set_level("INFO", "segxfer3d")
    knobs = {"checkpoint": str(run / "model.pt"), "progress": False, "device": "cpu"}
    run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), input=str(tmp_path / "in"), **knobs)
    assert "warning: 1 of 1 volumes have values of CT far outside training's range: odd -8" in caplog.text
    assert caplog.text.count("far outside") == 1
    assert "are they in HU?" in caplog.text


def test_other_channels_are_refused_by_infer(trained, tmp_path):
    _, run = trained
    knobs = {"checkpoint": str(run / "model.pt"), "progress": False, "device": "cpu"}
    known = r"model\.pt was trained on 3 channels \(T1, CT, PET\), in this order"
    two = one_file_each(tmp_path / "two", names=NAMES[:2])
    refused("infer", tmp_path, rf"2 channels \(T1, CT\); checkpoint .*{known}", input=str(two / "imagesTr"), **knobs)
    other = one_file_each(tmp_path / "other", names=("T1", "CT", "T2"))
    way = r"; one that is there by another name is called so by --channel_names, as in ITS_NAME=PET,\.\.\.$"
    refused("infer", tmp_path, rf"3 channels \(T1, CT, T2\); .*{known}{way}", input=str(other / "imagesTr"), **knobs)
    turned = one_file_each(tmp_path / "turned", names=("CT", "T1", "PET"))
    order = "; --channel_names T1,CT,PET$"
    refused("infer", tmp_path, f"{known}{order}", input=str(turned / "imagesTr"), **knobs)
    refused("evaluate", tmp_path, f"{known}{order}", dataset_dir=str(turned), **knobs)
    (two / "dataset.json").unlink()
    message = r"p0\.nii\.gz: 2 channels; expected 3 \(T1, CT, PET\)"
    refused("infer", tmp_path, message, input=str(two / "imagesTr" / "p0.nii.gz"), **knobs)
    words = files_by_channel(tmp_path / "words", endings=("_T1", "_CT", "_T2")) / "imagesTr"
    pattern = {"channel_pattern": r"_(T1|CT|T2)$"}
    refused("infer", tmp_path, rf"3 channels \(CT, T1, T2\); .*{known}{way}", input=str(words), **pattern, **knobs)
    choice = {"channel_names": "T1,CT,T2=PET", **pattern}  # which says what T2 is
    called = find_inputs(words, dims=3, channels=ModelChannels(3, NAMES), **choice)
    assert [path.name for path in called[0].files] == ["p0_T1.nii.gz", "p0_CT.nii.gz", "p0_T2.nii.gz"]
    with pytest.raises(InputError, match="two channels would be called the same"):
        find_cases(other, Request(channel_names="T1,T2=T1"))


def test_bad_channels_are_all_named(tmp_path):
    root = nnunet(tmp_path / "data")
    (root / "imagesTr" / "p1_0002.nii.gz").unlink()
    write_nifti(root / "imagesTr" / "p3_0001.nii.gz", channels(3)[1][:-1], AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] = 5
    write_nifti(root / "imagesTr" / "p4_0001.nii.gz", channels(4)[1], moved)
    message = (
        r"(?s)3 of 5 cases cannot be used.*p1_0002\.nii\.gz: no such file.*"
        r"p3_0001\.nii\.gz: the channel's shape 19x18x12 is not its image's 20x18x12, whose first channel is p3_0000.*"
        r"p4_0001\.nii\.gz: the channel's affine is not its image's \(corners lie up to 5 mm apart\)"
    )
    refused("genesis_finetune", tmp_path, message, dataset_dir=str(root), **FINETUNE)


def test_channels_that_nothing_names_are_refused(tmp_path):
    root = one_file_each(tmp_path / "data")
    (root / "dataset.json").unlink()
    message = r"p0\.nii\.gz: expected a 3D volume of one channel, got shape 20x18x12x3; --channel_names says"
    with pytest.raises(InputError, match=message):
        finetuned(root, tmp_path / "run")
    finetuned(root, tmp_path / "run", channel_names="a,b,c")
    assert read_model(tmp_path / "run" / "model.pt")["preprocessing"]["channel_names"] == ["a", "b", "c"]


@pytest.mark.parametrize("write", [one_file_each, nnunet])
def test_channels_are_chosen_by_name(tmp_path, write):
    root = write(tmp_path / "data")
    chosen = find_cases(root, Request(channel_names="PET,T1"))
    assert (chosen.channels, chosen.channel_names) == (2, ("PET", "T1"))
    intensity = {
        "channel_names": "PET,T1",
        "intensity": ["percentile", "window"],
        "window_low": [-1, 0],
        "window_high": 9,
    }
    run = finetuned(root, tmp_path / "run", **intensity)
    model = load_model(run / "model.pt")
    image = model.preprocessing.read(chosen.cases[2], chosen, label=False)["image"]
    t1, _, pet = channels(2)
    low, high = np.percentile(pet, (0.5, 99.5))
    np.testing.assert_allclose(image[0], ((pet - low) / (high - low)).clip(0, 1), atol=1e-5)
    np.testing.assert_allclose(image[1], (t1 / 9.0).clip(0, 1), atol=1e-5)
    with pytest.raises(InputError, match=r"channel_names MR: .* has the channels T1, CT, PET"):
        find_cases(root, Request(channel_names="MR"))
    with pytest.raises(InputError, match="intensity: 2 values for 1 channel; expected one, or one for each"):
        finetuned(root, tmp_path / "no", **intensity | {"channel_names": "PET"})


def test_a_plan_has_a_rule_for_each_channel(tmp_path):
    root = one_file_each(tmp_path / "data")
    strong = {"recipe": "strong", "plan": "data", "minutes": None, "max_epochs": 1, "label_count": 5}
    run = finetuned(root, tmp_path / "run", **strong | {"test_fraction": 0.0, "validation_fraction": 0.0})
    plan = json.loads((run / "plan.json").read_text())
    inside = label() > 0
    values = np.concatenate([channels(i)[1][inside] for i in range(5)]).astype(np.float64)
    assert plan["intensity"] == {"rule": "zscore", "nonzero": False}
    ct, pet = plan["further"]
    assert (ct["rule"], pet) == ("foreground", {"rule": "zscore", "nonzero": False})
    # quantiles of each case stand for all its voxels, so only about the same
    np.testing.assert_allclose([ct["mean"], ct["sd"]], [values.mean(), values.std()], rtol=0.02)
    assert "T1: no CT" in plan["reasons"]["intensity"]
    assert "CT: clipped" in plan["reasons"]["intensity"]
    about = read_model(run / "model.pt")["preprocessing"]
    assert about["further"][0]["mean"] == ct["mean"]


def test_patients_folders_by_pattern(tmp_path):
    """As BraTS: a folder a patient, whose files are called by the channel, and its label among them."""
    for i in range(3):
        for name, array in zip(("t1", "ct", "pet"), channels(i), strict=True):
            write_nifti(tmp_path / f"B{i}" / f"B{i}_{name}.nii.gz", array, AFFINE)
        write_nifti(tmp_path / f"B{i}" / f"B{i}_seg.nii.gz", label(), AFFINE)
    request = Request(channel_pattern="_(t1|ct|pet)$", label_pattern="_seg$", channel_names="t1,ct,pet")
    found = find_cases(tmp_path, request)
    assert [case.patient for case in found.cases] == ["B0", "B1", "B2"]
    for i, case in enumerate(found.cases):
        assert [path.name for path in case.files] == [f"B{i}_{name}.nii.gz" for name in ("t1", "ct", "pet")]
        assert case.label == tmp_path / f"B{i}" / f"B{i}_seg.nii.gz"
    shutil.copy(tmp_path / "B0" / "B0_t1.nii.gz", tmp_path / "B0" / "B0_t1.nii")
    with pytest.raises(InputError, match="two volumes are called B0_B0_t1"):
        find_cases(tmp_path, request)
    (tmp_path / "B0" / "B0_t1.nii").unlink()
    with pytest.raises(InputError, match="channel_pattern _t1: expected one group, the channel"):
        find_cases(tmp_path, Request(channel_pattern="_t1", label_pattern="_seg$"))


def test_previews_show_the_channel_that_is_asked_for(trained):
    _, run = trained
    previews = read_previews(run)
    assert {(preview.channel, preview.image.shape[0]) for preview in previews} == {("T1", 1)}
    whole = {
        name: next(p for p in read_previews(run, name) if p.image.shape[1:] == SHAPE) for name in ("t1", "CT", "3")
    }
    t1, ct, pet = channels(int(whole["t1"].case[1:]))
    for name, array in (("t1", t1.astype(np.float32)), ("3", pet)):
        low, high = np.percentile(array, (0.5, 99.5))
        expected = np.rint(((array - low) / (high - low)).clip(0, 1) * 255)
        np.testing.assert_allclose(whole[name].image[0], expected, atol=1)
    lung = np.rint(((ct.clip(-1000, 1000) + 1350.0) / 1500).clip(0, 1) * 255)  # the window of CT, of its channel alone
    np.testing.assert_allclose(whole["CT"].image[0], lung, atol=1)
    assert whole["3"].words == f"{whole['3'].case}, PET"
    with pytest.raises(InputError, match=r"channel FLAIR: pictures of p. have T1, CT, PET"):
        read_previews(run, "FLAIR")


def test_a_report_shows_the_channel_that_is_asked_for(trained, tmp_path):
    _, run = trained
    write_report(run.parent, tmp_path / "page.html", channel="PET")
    assert ", PET, dice" in (tmp_path / "page.html").read_text()
    with pytest.raises(InputError, match="channel FLAIR"):
        write_report(run.parent, tmp_path / "no.html", channel="FLAIR")
    assert not (tmp_path / "no.html").exists()
