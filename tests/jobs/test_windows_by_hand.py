"""A window of intensities that somebody sets, which is used or refused, and never passed over."""

import pytest

from segxfer3d.jobs import planning
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.test_planned_sizes import SHORT, finetuned, plan, pretrained, pytestmark
from tests.jobs.volume_sets import BUNDLES, refused

__all__ = ["plan", "pretrained", "pytestmark"]

WINDOWED = {"window_low": -160.0, "window_high": 240.0}
NO_WINDOW = "window_low and window_high: intensity {} has no window; expected --intensity window"


@pytest.mark.parametrize(
    ("bundle", "knobs", "message"),
    [
        ("genesis_finetune", {"init": "random"}, NO_WINDOW.format("foreground")),
        ("genesis_finetune", {"init": "random", "modality": "MR"}, NO_WINDOW.format("zscore")),
        ("genesis_finetune", {"init": "random", "plan": "FILE"}, NO_WINDOW.format("zscore")),
        ("genesis_finetune", {"init": "random", "intensity": "percentile"}, NO_WINDOW.format("percentile")),
        (
            "genesis_finetune",
            {"init": "encoder", "checkpoint": "PRETRAINED"},
            "window_low and window_high -160 and 240: intensities have the window -1000 to 1000; expected --intensity",
        ),
        ("genesis_pretrain", {"modality": "MR"}, NO_WINDOW.format("percentile")),
    ],
)
def test_a_window_set_by_hand_is_not_passed_over(bundle, knobs, message, good, pretrained, plan, tmp_path):
    named = {"FILE": str(plan), "PRETRAINED": str(pretrained)}
    knobs = {name: named.get(value, value) for name, value in knobs.items()}
    refused(bundle, tmp_path, message, **SHORT, dataset_dir=str(good), batch_size=2, **WINDOWED, **knobs)


@pytest.mark.parametrize("knobs", [{"intensity": "window"}, {"recipe": "paper", "patch_size": [16, 16, 16]}])
def test_a_window_set_by_hand_is_that_of_the_model(knobs, good, tmp_path):
    knobs = {"init": "random", "dataset_dir": str(good), "width": 2, "batch_size": 2, **SHORT, **WINDOWED, **knobs}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), **knobs)
    used = checkpoint.read_model(tmp_path / "run" / "model.pt")["preprocessing"]
    assert {"intensity": "window", **WINDOWED}.items() <= used.items()


def test_an_earlier_run_whose_window_was_passed_over_goes_on(good, tmp_path, monkeypatch):
    knobs = {"dataset_dir": str(good), "width": 2, "batch_size": 2, **WINDOWED}
    with monkeypatch.context() as patch:
        patch.setattr(planning, "refuse_unused_window", lambda *_: None)
        finetuned(tmp_path / "run", **knobs)
    assert finetuned(tmp_path / "run", **knobs, resume=True)[1].intensity.rule == "foreground"
