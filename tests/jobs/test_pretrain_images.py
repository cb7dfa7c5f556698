"""Which images a pretext is watched with: those that validate, and those that it is probed with."""

import json

import pytest

from segxfer3d.jobs import pretrain_images
from tests.jobs.image_runs import read, run
from tests.jobs.volume_sets import MARKS
from tests.training.test_resume import stop_at

pytestmark = MARKS


@pytest.fixture
def held(monkeypatch):
    """The names of the images that are held, of each part a list: of the pretraining part first."""
    parts = []
    original = pretrain_images.HeldImages

    def holding(*arguments, cases, **more):
        parts.append([case.name for case in cases])
        return original(*arguments, cases=cases, **more)

    monkeypatch.setattr(pretrain_images, "HeldImages", holding)
    return parts


def pretrain(folder, shapes, **knobs):
    run(
        "reconstruction_pretrain", folder, dataset_dir=str(shapes), validation_fraction=0.5, validation_interval=1,
        **knobs,
    )  # fmt: skip
    return read(folder, "split.json")["validation"]


def test_of_more_images_that_validate_than_may_be_some_are_drawn(held, shapes, tmp_path, monkeypatch):
    everyone = pretrain(tmp_path / "all", shapes, max_epochs=1)
    assert held.pop() == everyone
    assert "validated" not in read(tmp_path / "all", "made_from.json")
    monkeypatch.setattr(pretrain_images, "VALIDATED", 6)
    chosen = {}
    for name, knobs in {"a": {}, "b": {"seed": 1}, "other": {"split_seed": 1}}.items():
        validation = pretrain(tmp_path / name, shapes, max_epochs=1, **knobs)
        chosen[name] = held.pop()
        assert (len(chosen[name]), chosen[name]) == (6, sorted(chosen[name]))
        assert set(chosen[name]) < set(validation)
        assert chosen[name] != validation[:6]
    assert chosen["a"] == chosen["b"] != chosen["other"]
    assert len({name.split("_")[0] for name in chosen["a"]}) > 2, chosen  # the first by name are of one or two classes


@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_that_goes_on_validates_on_those_that_it_began_with(earlier, held, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_images, "VALIDATED", 6)
    with monkeypatch.context() as patch:
        if earlier:  # a build that took the first by name
            patch.setattr(pretrain_images, "_validated", lambda options, run, cases: cases[:6])
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            pretrain(tmp_path / "run", shapes)
    began = held.pop()
    for _ in range(2):
        validation = pretrain(tmp_path / "run", shapes, resume=True)
        assert held.pop() == began
    assert (began == validation[:6]) == earlier
    kept = json.loads((tmp_path / "run" / "made_from.json").read_text(encoding="utf-8"))
    assert ("validated" in kept) != earlier
