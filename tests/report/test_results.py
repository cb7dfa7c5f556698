"""The numbers of a report: against the statistics, and where pairs cannot be made."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.report import tables
from segxfer3d.report.collect import collect
from segxfer3d.report.markup import latex, markdown
from segxfer3d.report.methods import methods
from segxfer3d.report.published import paper_tables, published_values
from segxfer3d.report.results import MARGIN, results
from segxfer3d.report.scores import read_scores
from segxfer3d.report.words import answer, caveats, other_answers
from segxfer3d.statistics.compare import compare, corrected
from segxfer3d.statistics.scores import tabulate
from tests.report.made_studies import write_json, write_run, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, budgets=(20, 5), previews=False)
    return folder


@pytest.fixture(scope="module")
def found(study):
    return results(collect(study))


def test_means_and_deviations_are_those_of_the_files(study, found):
    assert [result.title for result in found] == ["5 labeled patients", "20 labeled patients"]
    means = []
    for seed in range(5):
        text = (study / f"finetune/encoder-n5-s{seed}/cases.csv").read_text(encoding="utf-8")
        means.append(np.mean([float(row["dice"]) for row in csv.DictReader(text.splitlines())]))
    mean, std = found[0].arms[1].measures["dice"]
    assert mean == pytest.approx(100 * np.mean(means))
    assert std == pytest.approx(100 * np.std(means, ddof=1))
    assert found[0].arms[1].measures["genesis_dice"][0] == pytest.approx(mean + 2)


def test_comparisons_are_those_of_the_statistics_in_percent(study, found):
    scores = [
        score
        for arm in ("random", "encoder", "encoder+decoder")
        for seed in range(5)
        for score in read_scores(study / f"finetune/{arm}-n5-s{seed}/cases.csv", arm, 5, seed)
    ]
    of_20 = [
        score
        for arm in ("random", "encoder", "encoder+decoder")
        for seed in range(5)
        for score in read_scores(study / f"finetune/{arm}-n20-s{seed}/cases.csv", arm, 20, seed)
    ]
    tables = tabulate([*scores, *of_20])
    expected = corrected([*compare(tables[5]), *compare(tables[20])])[:3]
    assert [(made.arm, made.reference) for made, _ in found[0].comparisons] == [(e.arm, e.reference) for e in expected]
    for (made, verdict), one in zip(found[0].comparisons, expected, strict=True):
        assert made.difference == pytest.approx(100 * one.difference)
        assert made.interval == pytest.approx([100 * limit for limit in one.interval])
        assert made.p_holm == pytest.approx(one.p_holm)
        assert made.family == 6
        assert verdict.kind in ("better", "undecided")
    assert found[0].comparisons[0][1].kind == "better"


def test_curves_converge_sooner_where_something_is_transferred(found):
    own = {one.arm: one.steps for one in found[0].convergence}
    assert own["encoder"] < own["random"]
    assert found[0].to_reference[1].difference_interval[1] < 0
    assert len(tables.convergence_table(found[0])) == 3


def test_the_answer_is_one_sentence_with_an_interval(found):
    text = answer(found)
    assert text.startswith("With 5 labeled patients, encoder")
    assert "is better than random by" in text
    assert "95 % interval" in text
    assert "\n" not in text


def test_a_margin_finds_arms_equivalent(study):
    found = results(collect(study), margin=20)
    assert {verdict.kind for _, verdict in found[0].comparisons} == {"equivalent"}
    assert "is equivalent to" in answer(found)


def test_the_margin_is_the_study_files_and_stays_below_the_spread_of_the_scores(study, found):
    assert {result.margin for result in found} == {MARGIN}
    collection = collect(study)
    asked = replace(collection, study={**collection.study, "margin": 7})
    assert results(asked)[0].margin == 7
    assert results(asked, margin=20)[0].margin == 20
    with pytest.raises(InputError, match=r"margin 90: the scores lie within \d+(\.\d)? points, expected less"):
        results(collection, margin=90)
    with pytest.raises(InputError, match="margin 90: "):
        results(replace(collection, study={**collection.study, "margin": 90}))
    for bad in (-1, 0):
        with pytest.raises(InputError, match="margin: expected a positive number"):
            results(collection, margin=bad)


def test_scores_that_lie_closer_together_than_the_usual_margin_are_equivalent(study, monkeypatch):
    monkeypatch.setattr("segxfer3d.report.results.MARGIN", 90.0)
    found = results(collect(study))
    assert {verdict.kind for _, verdict in found[0].comparisons} == {"equivalent"}


def test_a_training_that_ended_far_from_the_others_leaves_no_verdict(tmp_path):
    write_study(tmp_path, budgets=(5,), previews=False)
    path = tmp_path / "finetune/encoder-n5-s1/cases.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "dice": "0.01"} for row in rows)
    (result,) = results(collect(tmp_path))
    kinds = {(pair.arm, pair.reference): verdict.kind for pair, verdict in result.comparisons}
    assert kinds["encoder", "random"] == kinds["encoder", "encoder+decoder"] == "no verdict"
    assert kinds["encoder+decoder", "random"] != "no verdict"
    assert "encoder with seed 1 ended at 1.0" in " ".join(caveats([result]))


def test_a_failed_run_takes_its_seed_out_of_the_comparison_and_says_so(tmp_path):
    write_study(tmp_path, budgets=(5,), previews=False)
    for seed in (2, 3, 4):
        (tmp_path / f"finetune/encoder-n5-s{seed}/done.json").unlink()
    (result,) = results(collect(tmp_path))
    assert {made.seeds for made, _ in result.comparisons} == {2}
    assert {verdict.kind for _, verdict in result.comparisons} == {"no verdict"}
    assert any("random with seed 4 counts in no interval" in note for note in result.notes)
    assert "without a verdict (2 seeds, at least 3 needed)" in answer([result])
    assert "Fewer than 3 seeds (5 labeled patients): no comparison is judged." in caveats([result])
    assert [len(arm.seeds) for arm in result.arms] == [5, 2, 5]


def test_a_case_that_a_run_lacks_is_in_no_comparison_and_the_headline_says_so(tmp_path):
    write_study(tmp_path, budgets=(5,), previews=False)
    write_run(tmp_path / "finetune/encoder-n5-s1", init="encoder", seed=1, cases=12)
    (result,) = results(collect(tmp_path))
    assert result.compared == (12, 12)
    assert result.missing[0].startswith("encoder with seed 1 did not measure case12, case13, case14")
    assert any(note.startswith("Not every run measured every case") for note in result.notes)
    assert any("encoder with seed 1 did not measure case12" in line for line in caveats([result]))
    assert "is better than random" in answer([result])


def test_the_best_arm_is_that_of_the_comparisons_where_a_patient_has_many_cases(tmp_path):
    """Of 20 cases, 12 are one patient's: over cases random is better, over the nine patients the encoder."""
    dice = {"random": (0.70, 0.75), "encoder": (0.66, 0.79)}
    write_study(tmp_path, seeds=3, budgets=(5, 20), arms=dict.fromkeys(dice, 0.0), cases=20, previews=False)
    for path in sorted(tmp_path.glob("finetune/*/cases.csv")):
        big, others = dice[path.parent.name.split("-")[0]]
        rng = np.random.default_rng(list(path.parent.name.encode()))
        lines = ["case,patient,dice,iou"]
        for k in range(20):
            value = (big if k < 12 else others) + 0.003 * rng.standard_normal()
            lines.append(f"c{k:02d},{'big' if k < 12 else f'p{k}'},{value},{value / (2 - value)}")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = results(collect(tmp_path))
    random, encoder = found[0].arms
    assert random.measures["dice"][0] > encoder.measures["dice"][0]
    assert found[0].best() is encoder
    assert found[0].shown_pair()[0].difference == pytest.approx(3.1, abs=0.3)
    assert answer(found).startswith("With 5 labeled patients, encoder is better than random by 3.")
    (other,) = other_answers(found)
    mean, std = found[1].best().over_patients["dice"], np.std(found[1].best().trainings, ddof=1)
    assert f"highest mean dice encoder, {mean:.1f} ± {std:.1f} percent over patients; encoder is better" in other
    unpaired = replace(found[0], arms=tuple(replace(arm, over_patients={}) for arm in found[0].arms))
    assert unpaired.best().arm.name == "random"
    assert "nothing transferred" not in answer([unpaired])  # the closest is above 0


def test_runs_that_share_no_case_are_not_paired(tmp_path):
    write_study(tmp_path, seeds=2, budgets=(5,), previews=False)
    write_run(tmp_path / "finetune/encoder-n5-s1", init="encoder", seed=1, case_names=["another"])
    (result,) = results(collect(tmp_path))
    assert result.comparisons == ()
    assert any(note.startswith("No paired test:") for note in result.notes)
    assert result.arms[1].measures["dice"][1] is not None
    assert "nothing is tested" in answer([result])


def test_seeds_with_test_parts_of_their_own_are_paired_on_what_they_share(tmp_path):
    write_study(tmp_path, seeds=2, budgets=(5,), previews=False)
    for arm in ("random", "encoder", "encoder+decoder"):
        names = [f"case{i:02d}" for i in range(4, 20)]
        write_run(tmp_path / f"finetune/{arm}-n5-s1", init=arm, seed=1, case_names=names)
    collection = collect(tmp_path)
    assert collection.problems == ()
    (result,) = results(collection)
    assert result.compared == (12, 12)
    assert any("Each seed tests on other cases" in note for note in result.notes)


@pytest.mark.parametrize("arms", [{"random": 0.0}, {"encoder": 0.1}])
def test_a_single_arm_has_nothing_to_be_compared_with(tmp_path, arms):
    write_study(tmp_path, seeds=2, budgets=(5,), arms=arms, previews=False)
    (result,) = results(collect(tmp_path))
    assert result.comparisons == ()
    assert any("expected at least two to compare" in note for note in result.notes)
    assert answer([result]).startswith(f"No answer yet: only {next(iter(arms))} is done")


def test_without_a_finetuning_there_is_no_answer(tmp_path):
    write_study(tmp_path, seeds=0, previews=False)
    collection = collect(tmp_path)
    assert results(collection) == []
    assert answer([]) == "No answer yet: no fine-tuning is done."
    assert "Dippel" in methods(collection, [])[1][0]


def test_runs_without_validation_have_no_curve(tmp_path):
    for seed in range(2):
        for arm in ("random", "encoder"):
            write_run(tmp_path / f"{arm}{seed}", init=arm, seed=seed, curve=False)
    (result,) = results(collect(tmp_path))
    assert result.curves == {}
    assert [note for note in result.notes if "curve" in note] == [
        "No curves: no run was validated twice while it trained."
    ]


def test_published_figures_are_named_never_guessed(tmp_path):
    values = [
        {"arm": "random", "data": "nodules", "budget_name": "n5", "mean": 71.54, "std": None},
        {"arm": "encoder", "data": "nodules", "budget_name": "n5", "table": "table2", "column": "pets 1% (74)",
         "scenario": 4, "model": "ConRec"},
        {"arm": "encoder", "data": "nodules", "budget_name": "n5", "table": "table9", "column": "x"},
        {"arm": "encoder", "data": "nodules", "budget_name": "n5", "table": "table2", "column": "pets 1% (74)"},
    ]  # fmt: skip
    found, problems = published_values({"published": {"metric": "genesis_dice", "source": "T3", "values": values}})
    assert found["random", "nodules", "n5"].mean == 71.54
    assert found["random", "nodules", "n5"].measure == "genesis_dice"
    assert (found["encoder", "nodules", "n5"].mean, found["encoder", "nodules", "n5"].std) == (83.3, 0.6)
    assert len(problems) == 2
    write_study(tmp_path, seeds=2, budgets=(5,), previews=False)
    (result,) = results(collect(tmp_path), found)
    table = tables.score_table(result)
    assert list(table["published genesis_dice"]) == ["71.5", "83.3 ± 0.6", "–"]
    assert published_values({}) == published_values({"published": None}) == ({}, [])


def test_the_papers_tables_are_whole():
    for name, table in paper_tables().items():
        if name.startswith("table") and "rows" in table:
            assert {len(row["values"]) for row in table["rows"]} == {len(table["columns"])}


def test_tables_are_written_in_three_ways(tmp_path, found):
    written = tables.write_tables(tmp_path, found)
    assert {path.name for path in written} == {
        f"{name}.{suffix}" for name in ("scores", "comparisons", "convergence") for suffix in ("csv", "md", "tex")
    }
    rows = list(csv.DictReader((tmp_path / "comparisons.csv").read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["difference"]) == pytest.approx(found[0].comparisons[0][0].difference)
    assert (tmp_path / "scores.md").read_text(encoding="utf-8").count("\n| encoder |") == 2
    assert r"95 \% interval" in (tmp_path / "scores.tex").read_text(encoding="utf-8")


def test_names_cannot_break_out_of_tables(tmp_path):
    write_study(tmp_path, seeds=2, budgets=(5,), arms={"random": 0.0, "a|b<i>_&": 0.1}, previews=False)
    study = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "study.json", study)
    (result,) = results(collect(tmp_path))
    assert r"a\|b&lt;i>_&" in markdown(tables.score_table(result))
    assert r"a|b\textless{}i\textgreater{}\_\&" in latex("x", tables.score_table(result))


def test_older_runs_called_the_pooled_dice_genesis_dice(tmp_path):
    write_study(tmp_path, budgets=(5,))
    for path in tmp_path.glob("finetune/*/cases_summary.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, {name: value for name, value in summary.items() if name != "pooled_dice"})
    table = tables.score_table(results(collect(tmp_path))[0])
    assert "genesis_dice" not in table
    assert "pooled_dice" in table
