"""What an unfinished study says of its comparisons."""

import json

import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.planned import unfinished
from segxfer3d.report.results import results
from segxfer3d.report.results_page import write_results_page
from tests.report.made_studies import write_json, write_study

PLANNED = {"data": {"nodules": {}}, "budgets": [{"name": "n5", "value": 5.0}, {"name": "n20", "value": 20.0}]}


@pytest.fixture
def plan(tmp_path):
    """Says what a study of three seeds, three arms and two budgets plans; gives its folder."""
    folder = tmp_path / "study"
    write_study(folder, seeds=3, previews=False)

    def plans(**changes):
        content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        write_json(folder / "study.json", content | PLANNED | changes)
        return folder

    return plans


def said(folder):
    collection = collect(folder)
    return "".join(unfinished(collection, results(collection)))


def test_a_study_that_is_done_says_nothing(plan):
    assert said(plan()) == ""
    assert said(plan(pretrain_seeds=[0, 1, 2], pretrain_design="nested")) == ""
    # of a folder that does not say what is planned, all that is there is all
    assert said(plan(budgets=[])) == ""


def test_comparisons_without_all_of_their_trainings_are_counted_as_open(plan, tmp_path):
    folder = plan()
    (folder / "finetune/encoder-n5-s2/done.json").unlink()
    sentence = (
        "4 of 6 planned comparisons are done, with all of their seeds; p-values are corrected for the 6 that have one "
        "so far, so verdicts may change as others come."
    )
    assert said(folder) == sentence
    assert sentence in write_results_page([folder], tmp_path / "page.md").read_text(encoding="utf-8")
    assert sentence in write_report(folder, tmp_path / "page.html").page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({"seeds": [0, 1, 2, 3]}, "0 of 6"),
        ({"seeds": [0, 1, 2, 3], "budgets": [*PLANNED["budgets"][:1], {**PLANNED["budgets"][1], "seeds": [0, 1, 2]}]},
         "3 of 6"),
        ({"budgets": [*PLANNED["budgets"], {"name": "all", "value": 1.0}]}, "6 of 9"),
        ({"data": {"nodules": {}, "others": {}}}, "6 of 12"),
        ({"folds": 5}, "0 of 6"),
        ({"pretrain_seeds": [0, 1], "pretrain_design": "crossed"}, "0 of 6"),
    ],
)  # fmt: skip
def test_what_a_record_lacks_is_known_from_what_its_study_plans(plan, changes, done):
    assert said(plan(**changes)).startswith(f"{done} planned comparisons are done")
