"""What a model is measured and used in after a training in bf16: what its check chose, unless a hand says otherwise."""

import csv
import json

import pytest

from segxfer3d.evaluation import precision_check
from segxfer3d.jobs import ending
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.image_runs import finetune, lines
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, image

pytestmark = MARKS
USED = {True: "bf16", False: "float32"}


@pytest.fixture
def fast(monkeypatch):
    """A device that is faster in bf16, whatever this one is."""
    monkeypatch.setenv("SEGXFER3D_AMP", "True")


def run(name, folder, **knobs):
    run_bundle(BUNDLES / f"{name}.json", output_dir=str(folder), **{"device": "cpu", "progress": False, **knobs})
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))["knobs"]["amp"]


def volumes(folder, root, **knobs):
    run("genesis_finetune", folder, dataset_dir=str(root), init="random", **{**TINY, **knobs})
    return checkpoint.read_model(folder / "model.pt")["provenance"]


def rows(folder):
    with (folder / "cases.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("same", [True, False])
def test_the_check_decides_for_evaluation_and_inference(good, tmp_path, fast, monkeypatch, caplog, same):
    monkeypatch.setattr(precision_check, "TOLERANCE", 1.0 if same else -1.0)
    with caplog.at_level("INFO", "segxfer3d"):
        provenance = volumes(tmp_path / "f", good)
    assert f"evaluation and inference in {USED[same]}" in caplog.text
    found = json.loads((tmp_path / "f" / "precision.json").read_text(encoding="utf-8"))
    assert found == provenance["precision"]
    assert (found["trained"], found["cases"], found["used"], provenance["amp"]) == ("bf16", 1, USED[same], same)
    assert found["dice"]["bf16"] == lines(tmp_path / "f")[-1]["validation_dice"]
    caplog.clear()
    model = {"checkpoint": str(tmp_path / "f" / "model.pt")}
    with caplog.at_level("INFO", "segxfer3d"):
        assert run("evaluate", tmp_path / "e", dataset_dir=str(good), **model) is same
        assert run("infer", tmp_path / "i", input=str(image(good)), **model) is same
    figures = "in bf16, {float32:.4f} in float32)".format(**found["dice"])
    assert caplog.text.count("note: trained in bf16, used in float32, as its check chose (dice ") == 2 * (not same)
    assert caplog.text.count(figures) == 2 * (not same)
    assert rows(tmp_path / "e") == rows(tmp_path / "f")  # the final table is measured in what the model is used in


@pytest.mark.parametrize("keep", ["best", "last"])
def test_what_validation_found_is_what_the_check_would_find(good, tmp_path, fast, monkeypatch, keep):
    checked = []
    check = ending.check_precision

    def twice(*arguments, bf16, **keywords):
        checked.append(bf16)
        found = check(*arguments, bf16=bf16, **keywords)
        assert found == check(*arguments, bf16=None, **keywords)
        return found

    monkeypatch.setattr(ending, "check_precision", twice)
    provenance = volumes(tmp_path / "f", good, max_epochs=3, validation_interval=1, keep=keep)
    assert checked == [provenance["precision"]["dice"]["bf16"]]


def test_a_hand_wins_over_the_check(good, tmp_path, fast, monkeypatch, caplog):
    monkeypatch.setattr(precision_check, "TOLERANCE", -1.0)
    volumes(tmp_path / "f", good)
    model = {"checkpoint": str(tmp_path / "f" / "model.pt"), "input": str(image(good))}
    with caplog.at_level("INFO", "segxfer3d"):
        assert run("infer", tmp_path / "by_hand", **model, amp=True) is True
    assert f"warning: {model['checkpoint']} was found not to be for bf16 (dice " in caplog.text


def test_a_device_that_is_not_faster_uses_float32_and_says_so(good, tmp_path, fast, monkeypatch, caplog):
    monkeypatch.setattr(precision_check, "TOLERANCE", 1.0)
    volumes(tmp_path / "f", good)
    model = {"checkpoint": str(tmp_path / "f" / "model.pt"), "input": str(image(good))}
    monkeypatch.delenv("SEGXFER3D_AMP")
    monkeypatch.setattr("segxfer3d.run.precision._known", {"cpu": 0.5})
    with caplog.at_level("INFO", "segxfer3d"):
        assert run("infer", tmp_path / "slow", **model) is False
    assert "note: trained in bf16, used in float32: this device is not faster in bf16" in caplog.text
    caplog.clear()
    monkeypatch.setenv("SEGXFER3D_AMP", "False")
    with caplog.at_level("INFO", "segxfer3d"):
        assert run("infer", tmp_path / "said", **model) is False
    assert "note: trained in bf16, used in float32: SEGXFER3D_AMP says so" in caplog.text


def test_without_validation_cases_bf16_is_not_used(tmp_path, fast, caplog):
    with caplog.at_level("INFO", "segxfer3d"):
        finetune(tmp_path / "f", amp=True)
    assert "no validation cases could be checked in: evaluation and inference in float32" in caplog.text
    provenance = checkpoint.read_model(tmp_path / "f" / "model.pt")["provenance"]
    assert (provenance["amp"], provenance["precision"]["dice"]) == (False, {"float32": None, "bf16": None})
    caplog.clear()
    with caplog.at_level("INFO", "segxfer3d"):
        assert run("evaluate", tmp_path / "e", checkpoint=str(tmp_path / "f" / "model.pt")) is False
    assert "as its check chose (it had no validation cases)" in caplog.text


def test_nothing_is_checked_of_what_trained_in_float32(good, tmp_path, fast):
    provenance = volumes(tmp_path / "f", good, amp=False)
    assert (provenance["amp"], "precision" in provenance) == (False, False)
    assert not (tmp_path / "f" / "precision.json").exists()
    model = {"checkpoint": str(tmp_path / "f" / "model.pt"), "input": str(image(good))}
    assert run("infer", tmp_path / "i", **model) is False
