"""Pretrainings that a study repeats: its trials, what is refused, and what its report says of them."""

import json
import math
import re

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report import unrounded
from segxfer3d.report.claims import claims
from segxfer3d.report.collect import collect
from segxfer3d.report.methods import methods
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.tables import comparison_table
from segxfer3d.report.words import answer, caveats
from segxfer3d.statistics.interval import t_interval
from segxfer3d.study.grid import resolved
from segxfer3d.study.trials import read_trials
from tests.report.made_studies import write_run
from tests.study.studies import content, plan, ran

WITH_DECODER = {init: {"init": init, "pretrain": "genesis"} for init in ("encoder", "encoder+decoder")}


def started(trials):
    """(seed of fine-tuning, seed of its pretraining) of the arm that loads something."""
    pretrainings = {trial.id: trial for trial in trials if trial.kind == "pretrain"}
    return [
        (trial.seed, trial.pretrain_seed, pretrainings[trial.depends[0]].knobs["seed"])
        for trial in trials
        if trial.arm == "encoder"
    ]


def test_nested_seeds_take_pretrainings_in_turn(tmp_path):
    _, trials = plan(tmp_path, pretrain_seeds=[7, 8], seeds=[0, 1, 2, 3])
    assert [trial.pretrain_seed for trial in trials if trial.kind == "pretrain"] == [7, 8]
    assert started(trials) == [(0, 7, 7), (1, 8, 8), (2, 7, 7), (3, 8, 8)]
    assert [trial.pretrain_seed for trial in trials if trial.arm == "random"] == [None] * 4
    assert {trial.folder for trial in trials if trial.seed == 3} == {
        "finetune/data-random-n2-s3", "finetune/data-encoder-n2-s3"
    }  # fmt: skip
    assert len({trial.identity for trial in trials}) == len(trials) == 10


@pytest.mark.parametrize("seeds", [[1, 2], [0, 1, 2, 3], [0, 2], [3]])
def test_seeds_of_a_budget_use_some_pretrainings_each_as_often(tmp_path, seeds):
    _, trials = plan(tmp_path, pretrain_seeds=[7, 8], seeds=[0, 1, 2, 3], budgets=[{"label_count": 2, "seeds": seeds}])
    assert [seed for seed, *_ in started(trials)] == seeds


def test_crossed_seeds_start_from_every_pretraining(tmp_path):
    study, trials = plan(tmp_path, pretrain_seeds=[7, 8], pretrain_design="crossed")
    assert started(trials) == [(0, 7, 7), (0, 8, 8), (1, 7, 7), (1, 8, 8)]
    assert sum(trial.arm == "random" for trial in trials) == 2
    assert trials[4].folder == "finetune/data-encoder-n2-s0-p8"
    assert resolved(study)["pretrain_seeds"] == [7, 8]
    assert "pretrain_seed" not in trials[2].as_dict()  # random: as in a study without


def test_a_study_without_them_is_written_as_before(tmp_path):
    study, trials = plan(tmp_path)
    assert not {"pretrain_seeds", "pretrain_design"} & set(resolved(study))
    assert all("pretrain_seed" not in trial.as_dict() for trial in trials)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrain_seeds": [0, 0]}, "pretrain_seeds: one is there twice"),
        ({"pretrain_seeds": []}, "pretrain_seeds: the grid is empty"),
        ({"pretrain_seeds": [-1, 2]}, "pretrain_seeds: expected a whole number from 0 to 4294967295, got -1"),
        ({"pretrain_seeds": [0, 1, 2]}, "pretrain_seeds: 3 for 2 seeds; nested expects as many seeds for each, or"),
        (
            {"pretrain_seeds": [7, 8], "seeds": [0, 1, 2, 3], "budgets": [{}, {"label_count": 2, "seeds": [0, 1, 2]}]},
            "budgets[1].seeds: start unevenly from pretrain_seeds (2 from 7, 1 from 8); nested expects as many",
        ),
        ({"pretrain_design": "crossed"}, "pretrain_design: expected pretrain_seeds beside it"),
        ({"pretrain_seeds": [0, 1], "pretrain_design": "split"}, "pretrain_design: expected nested or crossed"),
        (
            {
                "pretrain_seeds": [0, 1],
                "pretrain": {"genesis": {**content()["pretrain"]["genesis"], "knobs": {"seed": 3}}},
            },
            "pretrain.genesis.knobs: has a seed beside pretrain_seeds",
        ),
        (
            {"pretrain_seeds": [0], "pretrain": {}, "arms": {n: {"init": n} for n in ("random", "frozen-random")}},
            "pretrain_seeds: no pretraining to repeat",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, changes, said):
    with pytest.raises(InputError, match=re.escape(said)):
        plan(tmp_path, **changes)


@pytest.fixture
def crossed(tmp_path):
    """A study's folder with made scores: three pretrainings, three seeds."""
    folder = ran(tmp_path, pretrain_seeds=[0, 1, 2], pretrain_design="crossed", seeds=[0, 1, 2])
    for trial in read_trials(folder):
        if trial.kind == "finetune":
            gain = 0.0 if trial.pretrain_seed is None else 0.1 + 0.01 * trial.pretrain_seed
            write_run(folder / trial.folder, init=trial.arm, seed=trial.seed, gain=gain, knobs=dict(trial.knobs))
    return folder


def test_the_report_speaks_of_the_pretext(crossed):
    collection = collect(crossed)
    found = results(collection)
    ((pair, verdict),) = found[0].comparisons
    assert (pair.scope, pair.pretrainings, pair.seeds, len(pair.seed_differences)) == ("pretext", 3, 3, 3)
    assert verdict.sentence.endswith("3 pretrainings, 3 seeds, 16 patients; holds for the pretext)")
    assert not any("checkpoint" in line for line in caveats(found))
    assert "repeated with 3 seeds: every seed of fine-tuning starts from each of them" in methods(collection, found)[0]
    assert found[0].arms[1].seeds == (0, 1, 2)
    assert [len(of_seed) for of_seed in found[0].curves.values()] == [3, 3]
    assert "each pretraining" in comparison_table(found[0])
    (row,) = unrounded.comparisons(found)
    assert [row[f"difference_pretraining_{k}"] for k in range(3)] == list(pair.seed_differences)
    assert "difference_seed_0" not in row
    assert found[0].convergence[1].difference_interval is None  # crossed
    assert verdict.kind == "better" or verdict.why == ""


def test_the_page_says_what_its_points_are(crossed, tmp_path):
    text = write_report(crossed, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert "small points: pretrainings." in text
    assert "<th>each pretraining</th>" in text


def test_a_pretraining_that_one_arm_lacks_leaves_the_others(crossed):
    trials = [trial for trial in read_trials(crossed) if trial.pretrain_seed == 2 and trial.kind == "finetune"]
    for trial in trials:
        (crossed / trial.folder / "done.json").unlink()
    found = results(collect(crossed))
    ((pair, verdict),) = found[0].comparisons
    assert pair.pretrainings == 2
    assert verdict.kind == "no verdict"
    assert "2 pretrainings, at least 3 needed" in verdict.sentence
    assert "without a verdict (2 pretrainings, at least 3 needed)" in answer(found)
    assert "Fewer than 3 pretrainings (2 labeled patients): no pretext is judged." in caveats(found)


def test_nested_steps_are_judged_between_pretrainings(tmp_path):
    folder = ran(tmp_path, pretrain_seeds=[0, 1, 2], seeds=list(range(6)), arms=WITH_DECODER)
    for trial in read_trials(folder):
        if trial.kind == "finetune":
            gain = 0.1 if trial.arm == "encoder" else 0.11
            write_run(folder / trial.folder, init=trial.arm, seed=trial.seed, gain=gain, knobs=dict(trial.knobs))
            rate = 60 if trial.arm == "encoder" else 20 + trial.pretrain_seed
            points = [(20 * e, 0.7 * (1 - math.exp(-20 * e / (rate + 0.1 * trial.seed)))) for e in range(1, 21)]
            lines = [json.dumps({"step": step, "loss": 1, "validation_dice": dice}) + "\n" for step, dice in points]
            (folder / trial.folder / "metrics.jsonl").write_text("".join(lines))
    collection = collect(folder)
    found = results(collection)
    steps = claims(found, collection.arms)[3]
    (finding,) = steps.findings
    less = [found[0].convergence[k].seed_steps for k in (0, 1)]
    by_seed = [both - encoder for both, encoder in zip(less[1], less[0], strict=True)]
    by_pretraining = [(by_seed[k] + by_seed[k + 3]) / 2 for k in range(3)]
    assert finding.interval == pytest.approx(t_interval(by_pretraining), rel=0.02)
    assert (steps.answer, finding.verdict) == ("yes", "fewer")
    for trial in read_trials(folder):
        if trial.pretrain_seed == 2 and trial.kind == "finetune":
            (folder / trial.folder / "done.json").unlink()
    collection = collect(folder)
    steps, dice = (claims(results(collection), collection.arms)[k].findings[0] for k in (3, 0))
    assert steps.verdict == dice.verdict == "no verdict; 2 pretrainings, at least 3 needed"


def test_one_pretraining_for_all_is_a_checkpoint(tmp_path):
    folder = ran(tmp_path)
    for trial in read_trials(folder):
        if trial.kind == "finetune":
            write_run(folder / trial.folder, init=trial.arm, seed=trial.seed, knobs=dict(trial.knobs))
    found = results(collect(folder))
    assert found[0].comparisons[0][0].scope == "checkpoint"
    assert any("on this checkpoint, not on its pretext" in line for line in caveats(found))
