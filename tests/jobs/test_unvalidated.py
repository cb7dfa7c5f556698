"""Options that need a validation part are refused where there is none, before anything is trained."""

import json

import pytest

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from segxfer3d.jobs.unvalidated import refuse_unvalidated
from segxfer3d.run.bundle import run_bundle
from tests.jobs.image_runs import finetune, run
from tests.jobs.volume_sets import BUNDLES, MARKS
from tests.jobs.volume_sets import TINY as TINY_VOLUMES

pytestmark = MARKS
NEEDS = r"needs a validation part \(validation_fraction is 0\); expected a larger validation_fraction"
ASKED = {"keep": "best", "patience": 3, "schedule": "plateau"}


@pytest.mark.parametrize("name", ASKED)
def test_what_needs_a_validation_part_is_refused_without_one(name, shapes, tmp_path):
    asked = {name: ASKED[name]}
    with pytest.raises(InputError, match=rf"^{name} {ASKED[name]}: {NEEDS}"):
        finetune(tmp_path / "run", dataset_dir=str(shapes), **asked)
    with pytest.raises(InputError, match=rf"^{name} {ASKED[name]}: {NEEDS}"):
        run("simclr_pretrain", tmp_path / "run", dataset_dir=str(shapes), validation_fraction=0, **asked)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_a_fraction_or_a_file_holds_out_will_do(shapes, tmp_path):
    names = [case.name for case in find_cases(shapes, Request(dims=2, task="segmentation")).cases]
    (tmp_path / "split.json").write_text(
        json.dumps({"train": names[:4], "validation": names[4:6], "test": names[6:8]}), encoding="utf-8"
    )
    for number, knobs in enumerate(
        ({"validation_fraction": 0.25}, {"split_file": str(tmp_path / "split.json"), "label_count": None})
    ):
        knobs |= {"dataset_dir": str(shapes), "max_epochs": 1, "recipe": "paper", **ASKED}
        finetune(tmp_path / f"{number}", **knobs)


@pytest.mark.parametrize("bundle", ["genesis_finetune", "genesis_pretrain"])
def test_of_volumes_too(bundle, good, tmp_path):
    knobs = {**TINY_VOLUMES, "dataset_dir": str(good), "validation_fraction": 0.0, "output_dir": str(tmp_path / "run")}
    knobs |= {"init": "random", "recipe": "paper"} if bundle == "genesis_finetune" else {}
    with pytest.raises(InputError, match=rf"^schedule plateau: {NEEDS}"):
        run_bundle(BUNDLES / f"{bundle}.json", schedule="plateau", **knobs)
    run_bundle(BUNDLES / f"{bundle}.json", **knobs)  # genesis_pretrain keeps the best of what it validates


def test_a_run_that_goes_on_goes_on_as_it_began(shapes, tmp_path, monkeypatch):
    knobs = {"dataset_dir": str(shapes), "max_epochs": 1, "recipe": "paper", "keep": "best"}
    with monkeypatch.context() as before:
        before.setattr("segxfer3d.jobs.planning.refuse_unvalidated", lambda *_: None)
        finetune(tmp_path / "run", **knobs)
    finetune(tmp_path / "run", **knobs, resume=True)


@pytest.mark.parametrize(
    ("job", "training", "typed", "message"),
    [
        ("genesis_pretrain", {"keep": "best", "patience": 50}, {}, ""),
        ("genesis_pretrain", {"keep": "best", "patience": 50}, {"keep": "best"}, "keep best: needs"),
        ("genesis_pretrain", {"keep": "best", "patience": 9}, {}, "patience 9: needs"),
        ("genesis_pretrain", {"patience": 30, "schedule": "halving"}, {}, ""),  # of which patience is the period
        ("unet2d_finetune", ASKED, {}, "keep best, patience 3, schedule plateau: need a"),
        ("a_bundle_of_ones_own", {"keep": "best"}, {}, "keep best: needs"),
        ("unet2d_finetune", {"keep": "best", "resume": True}, {}, ""),
        ("unet2d_finetune", {}, {"keep": "last", "patience": "0"}, ""),
    ],
)
def test_what_somebody_asked_for_is_refused_and_not_what_a_bundle_says(job, training, typed, message):
    options = Options(job, (groups.Training(**training), groups.Data(validation_fraction=0.0)), typed)
    refuse_unvalidated(options, 1)
    if not message:
        refuse_unvalidated(options, 0)
        return
    with pytest.raises(InputError, match=f"^{message}"):
        refuse_unvalidated(options, 0)


def test_where_a_fraction_does_not_help_it_is_not_asked_for():
    options = Options("genesis_pretrain", (groups.Training(schedule="plateau"), groups.Data()))
    with pytest.raises(InputError, match=r"\(validation_fraction is 0.15\); expected cases that validate"):
        refuse_unvalidated(options, 0)
