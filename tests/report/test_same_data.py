"""A page says which of its trainings were made from other data than the rest."""

import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results_page import write_results_page
from tests.report.made_studies import write_json, write_study

CASES = {"a": ["1", "2"], "b": ["3", "4"]}
DATA = {"modality": ["CT"], "classes": {"1": "nodule"}}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "nodules"
    write_study(folder, budgets=(5,), previews=False)
    runs = [run for run in collect(folder).runs if run.kind == "finetune"]
    for run in runs:
        write_json(run.folder / "made_from.json", {"cases": CASES, "data": DATA})
    return folder, runs


def test_the_same_data_are_no_matter(study):
    folder, _ = study
    assert collect(folder).other_data == ()


@pytest.mark.parametrize(
    ("made_from", "what"),
    [
        ({"cases": {**CASES, "b": ["3", "5"]}, "data": DATA}, "made from other data: b not as in {}"),
        (
            {"cases": CASES, "data": {**DATA, "modality": ["MR"]}},
            "made from other data: modality.0 MR, not CT as in {}",
        ),
    ],
)
def test_another_training_is_named_on_both_pages(study, tmp_path, made_from, what):
    folder, runs = study
    write_json(runs[-1].folder / "made_from.json", made_from)
    (problem,) = collect(folder).other_data
    assert (problem.where, problem.what) == (runs[-1].name, what.format(runs[0].name))
    page = write_results_page([folder], tmp_path / "page.md").read_text(encoding="utf-8")
    assert f"**Not all trainings saw the same data, so they do not compare:** {problem.where} ({problem.what})." in page
    write_report(folder, tmp_path / "page.html")
    assert problem.what in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["{", "[]", '{"cases": 3}', "[" * 200 + "]" * 200])
def test_damage_costs_no_report(study, text):
    folder, runs = study
    (runs[-1].folder / "made_from.json").write_text(text, encoding="utf-8")
    assert collect(folder).other_data == ()
