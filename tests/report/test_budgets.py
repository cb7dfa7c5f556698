"""The order of label budgets."""

import json
from dataclasses import replace

from segxfer3d.report.budgets import by_labels
from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.report.run_files import Run
from segxfer3d.report.words import answer
from tests.report.made_studies import write_json, write_study


def test_budgets_are_in_the_order_of_their_labels(tmp_path):
    counts = {"all": 30, "f0.5": 15, "n20": 20, "n2": 2}
    runs = [
        Run(f"{name}-{seed}", tmp_path, "finetune", "done", budget_name=name, budget=1.0 if name == "all" else
            float(name[1:]), seed=seed, labels={"cases": ["a"] * count}) for name, count in counts.items()
        for seed in range(2)
    ]  # fmt: skip
    assert list(by_labels(runs)) == ["n2", "f0.5", "n20", "all"]
    unknown = [replace(run, labels={}) if run.name == "n20-1" else run for run in runs]
    assert list(by_labels(unknown)) == ["f0.5", "n2", "n20", "all"]
    assert [len(group) for group in by_labels(runs).values()] == [2] * 4


def test_all_labels_are_not_the_smallest_budget(tmp_path):
    write_study(tmp_path, seeds=3, budgets=(5, 20), previews=False)
    trials = json.loads((tmp_path / "trials.json").read_text(encoding="utf-8"))
    for trial in trials:
        if trial["budget"] == 20:
            trial |= {"budget": 1.0, "budget_name": "all"}
    write_json(tmp_path / "trials.json", trials)
    by_budget = results(collect(tmp_path))
    assert [result.title for result in by_budget] == ["5 labeled patients", "all patients labeled"]
    assert answer(by_budget).startswith("With 5 labeled patients, ")
