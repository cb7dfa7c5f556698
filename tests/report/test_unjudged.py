"""Studies of the strong recipe: differences with t intervals, and nothing is called better or worse."""

import csv
import json

import numpy as np
import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.results_page import write_results_page
from segxfer3d.report.tables import comparison_table, score_table
from segxfer3d.report.words import answer, caveats, methods, other_answers
from segxfer3d.statistics.crossed import crossed_mean
from tests.report.made_studies import write_study

FEW = 50  # resamples
NAMES = ["p0-0", "p0-1", "p0-2", *(f"p{k}-0" for k in range(1, 14))]  # one patient has three cases
JUDGED = ("better", "worse", "cannot be told", "undecided", "Holm", "Wilcoxon", "bootstrap")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strong")
    write_study(folder, previews=False, case_names=NAMES)
    for path in folder.glob("finetune/*/run.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        run["knobs"]["recipe"] = "strong"
        path.write_text(json.dumps(run))
    return folder


def by_patient(study, arm):
    """Dice in points (seeds, patients), from the files."""
    rows = []
    for seed in range(5):
        cases = csv.DictReader((study / f"finetune/{arm}-n5-s{seed}/cases.csv").read_text("utf-8").splitlines())
        dice = {}
        for row in cases:
            dice.setdefault(row["patient"], []).append(100 * float(row["dice"]))
        rows.append([np.mean(values) for values in dice.values()])
    return np.array(rows)


def test_differences_are_of_patients_with_the_t_interval(study):
    result = results(collect(study), resamples=FEW)[0]
    pair, verdict = result.comparisons[0]
    expected = crossed_mean(by_patient(study, "encoder") - by_patient(study, "random"))
    assert (pair.arm, pair.reference, verdict.kind) == ("encoder", "random", "not judged")
    assert pair.difference == pytest.approx(expected.difference)
    assert pair.interval == pytest.approx(expected.interval)
    assert pair.seed_differences == pytest.approx(expected.by_seed)
    table = comparison_table(result)
    assert list(table.columns) == ["arm", "against", "difference", "95 % interval", "difference of each seed"]
    assert table["difference of each seed"][0].count(",") == 4
    assert "95 % interval" not in score_table(result).columns


def test_no_sentence_judges_and_none_picks(study):
    collection = collect(study)
    found = results(collection, margin=20, resamples=FEW)
    said = [answer(found), *other_answers(found), methods(collection, found)[0]]
    assert not [word for word in JUDGED for text in said if word in text.replace("none was called better or worse", "")]
    for text in said[:2]:
        assert [text.count(f"{arm} less ") for arm in ("encoder", "encoder+decoder")] == [2, 1]
    assert caveats(found)[0].startswith("No difference is called better or worse here")
    assert len(caveats(found)) == 1


def test_pages_show_the_same(study, tmp_path):
    page = write_results_page([study], tmp_path / "page.md").read_text(encoding="utf-8")
    assert "Recipe of the fine-tunings: strong." in page
    assert "| encoder | encoder+decoder |" in page
    assert "on 16 cases of 14 patients or groups, each of whom weighs the same:" in page
    assert "verdict" not in page
    assert "p (Holm)" not in page
    written = write_report(study, tmp_path / "report.html", resamples=FEW)
    assert "encoder less random" in written.answer
    rows = list(csv.DictReader((written.files / "comparisons.csv").read_text("utf-8").splitlines()))
    assert {(row["verdict"], row["p"], row["p_holm"]) for row in rows} == {("not judged", "", "")}
