"""Jobs whose network an engine computes."""

import json

import nibabel
import numpy as np
import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.check import CheckReport
from segxfer3d.inference import engines as table
from segxfer3d.inference.engines import choice
from segxfer3d.inference.model import load_model
from segxfer3d.jobs.engine import expected_windows
from segxfer3d.run.bundle import run_bundle
from tests.inference.engines.fakes import Fake, plain_model
from tests.inference.models import image_model, volume_model
from tests.jobs.volume_sets import BUNDLES, MARKS, image, refused

pytestmark = MARKS


@pytest.fixture
def fake(monkeypatch):
    """The only engine that there is, called openvino."""
    fake = Fake()
    for module in (table, choice):
        monkeypatch.setattr(module, "engines", lambda: {"openvino": fake.engine})
    return fake


def infer(model, scan, folder, **knobs):
    knobs = {"device": "cpu", "progress": False, "amp": False, **knobs}
    run_bundle(BUNDLES / "infer.json", checkpoint=str(model), input=str(scan), output_dir=str(folder), **knobs)
    record = folder / "engine.json"
    return json.loads(record.read_text()) if record.exists() else None


def masks(folder):
    return [np.asarray(nibabel.load(path).dataobj) for path in sorted(folder.glob("*_mask.nii.gz"))]


def test_infer_by_an_engine(fake, tmp_path, good, caplog):
    model, scan = plain_model(tmp_path / "m.pt", mirror_axes=[1]), image(good).parent
    assert infer(model, scan, tmp_path / "torch") is None
    with caplog.at_level("INFO", "segxfer3d"):
        record = infer(model, scan, tmp_path / "engine", engine="openvino")
    assert record["engine"] == "openvino"
    assert record["largest_difference"] < 1e-5
    assert fake.compiled == [((1, 1, 16, 16, 8), False)]
    assert "engine openvino in float32; logits differ from torch's by up to" in caplog.text
    for ours, torchs in zip(masks(tmp_path / "engine"), masks(tmp_path / "torch"), strict=True):
        np.testing.assert_array_equal(ours, torchs)
        assert ours.any()


def test_infer_chooses(fake, tmp_path, good, monkeypatch):
    monkeypatch.setattr(choice, "WORTH", 0.0)
    monkeypatch.setattr(choice, "_seconds", lambda forward, window: 1.0)
    record = infer(plain_model(tmp_path / "m.pt"), image(good), tmp_path / "out", engine="auto", amp=True)
    assert record["engine"] == "torch"  # the other one is not faster
    assert record["precision"] == "bfloat16"
    assert record["seconds"] == {"torch": 1.0, "openvino": 1.0}


@pytest.mark.parametrize("several", [False, True])
def test_images(fake, tmp_path, shapes, several):
    knobs = {"engine": "openvino"}
    if several:
        for name in "ab":
            (tmp_path / "runs" / name).mkdir(parents=True)
            image_model(tmp_path / "runs" / name / "model.pt")
        knobs |= {"model_dir": str(tmp_path / "runs")}
    model = "" if several else image_model(tmp_path / "m.pt")
    picture = next((shapes / "images").rglob("*.png"))
    assert infer(model, picture, tmp_path / "out", **knobs)["windows"] == 1
    assert fake.compiled == [((1, 3, 32, 32), False)]  # of equal weights once


def test_evaluate_by_an_engine(fake, tmp_path, good):
    model = plain_model(tmp_path / "m.pt")
    knobs = {"dataset_dir": str(good), "part": "all", "device": "cpu", "progress": False, "checkpoint": str(model)}
    rows = []
    for engine in ("torch", "openvino"):
        run_bundle(BUNDLES / "evaluate.json", output_dir=str(tmp_path / engine), engine=engine, **knobs)
        rows.append((tmp_path / engine / "cases.csv").read_text())
    assert rows[0] == rows[1]
    assert json.loads((tmp_path / "openvino" / "engine.json").read_text())["engine"] == "openvino"
    assert len(fake.compiled) == 1


def test_what_is_refused(tmp_path, good, fake):
    model, statistics = str(plain_model(tmp_path / "m.pt")), str(volume_model(tmp_path / "b.pt"))
    knobs = {"input": str(image(good)), "device": "cpu", "progress": False}
    refused("infer", tmp_path, "engine: expected .*openvino.*got 'tvm'", engine="tvm", checkpoint=model, **knobs)
    refuses = "engine openvino: cannot take the network: "
    knobs["engine"] = "openvino"
    refused("infer", tmp_path, f"{refuses}it normalizes", checkpoint=statistics, **knobs)
    fake.error = RuntimeError("no kernel")
    refused("infer", tmp_path, f"{refuses}RuntimeError: no kernel", checkpoint=model, **knobs)


def test_expected_windows(tmp_path):
    model = load_model(plain_model(tmp_path / "m.pt", mirror_axes=[0, 2]))
    cases = [Case("a", tmp_path / "a.nii.gz"), Case("b", tmp_path / "b.nii.gz")]
    report = CheckReport(tuple(cases), shapes={"a": (16, 28, 8), "b": (8, 29, 15)})
    # windows of 16 x 16 x 8, each 12 x 12 x 6 further; four times turned around
    assert expected_windows(model, cases, report, 0.25) == 4 * (1 * 2 * 1 + 1 * 3 * 3)
    images = load_model(image_model(tmp_path / "i.pt"))
    assert expected_windows(images, cases, report, 0.25) == 2
