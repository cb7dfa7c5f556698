"""How numbers are written in tables."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.report import cells, tables, unrounded
from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.statistics.verdict import judge
from tests.report.made_studies import write_study
from tests.statistics.test_verdict import MADE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0004, "< 0.001"),
        (0.0012, "0.0012"),
        (0.0449, "0.045"),
        (0.0496, "0.0496"),
        (0.049996, "< 0.05"),
        (0.05, "0.05"),
        (0.050004, "> 0.05"),
        (0.050403, "0.0504"),
        (0.051, "0.051"),
        (0.2, "0.20"),
        (None, "–"),
    ],
)
def test_no_p_value_looks_like_the_limit(value, text):
    assert cells.p_value(value) == text


@pytest.mark.parametrize(("p_holm", "said"), [(0.0496, "p 0.0496 after"), (0.050403, "p 0.0504 after")])
def test_sentences_have_the_p_value_of_tables(p_holm, said):
    pair = replace(MADE, p_holm=p_holm)
    verdict = judge(pair, 0.02)
    assert (verdict.kind == "better") == (p_holm <= 0.05)
    assert said in verdict.sentence


def test_what_rounds_to_zero_has_no_sign():
    assert cells.between((-0.03, 1.2)) == "0.0 to 1.2"
    assert cells.between((-0.06, -0.04)) == "-0.1 to 0.0"
    assert cells.between((-0.03, 1.2), sign=True) == "0.0 to +1.2"
    assert (cells.plus_minus((-0.04, None)), cells.plus_minus((-0.04, 0.2))) == ("0.0", "0.0 ± 0.2")


def test_the_mean_that_an_interval_is_around_stands_beside_it(tmp_path):
    names = [f"p{k}-{scan}" for k in range(8) for scan in range(1 + 3 * (k == 0))]  # p0 has four scans, others one
    write_study(tmp_path / "several", seeds=3, budgets=(5,), previews=False, case_names=names)
    (result,) = results(collect(tmp_path / "several"))
    table = tables.score_table(result)
    assert table.columns[3:6] == ("dice", "over patients", "95 % interval")
    arm = result.arms[0]
    of_runs = [[score.value for score in run.scores["dice"]] for run in result.runs if run.arm == "random"]
    by_patient = [np.mean([dice[:4].mean(), *dice[4:]]) for dice in map(np.array, of_runs)]
    assert arm.over_patients["dice"] == pytest.approx(np.mean(by_patient))
    assert arm.measures["dice"][0] == pytest.approx(np.mean(of_runs))
    assert table["over patients"][0] == f"{np.mean(by_patient):.1f}"
    low, high = arm.interval
    assert (low + high) / 2 == pytest.approx(np.mean(by_patient))
    low, high = arm.intervals["iou"]
    assert table["IoU"][0].endswith(f" ({(low + high) / 2:.1f}: {low:.1f} to {high:.1f})")
    tables.write_tables(tmp_path, [result])
    row = next(csv.DictReader((tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert float(row["dice_over_patients"]) == arm.over_patients["dice"]
    assert float(row["iou_over_patients"]) == pytest.approx((low + high) / 2)
    write_study(tmp_path / "single", seeds=3, budgets=(5,), previews=False)
    table = tables.score_table(results(collect(tmp_path / "single"))[0])
    assert "over patients" not in table
    assert ":" not in table["IoU"][0]


def test_classes_that_are_called_like_statistics_take_no_column_from_them(tmp_path):
    write_study(tmp_path, seeds=3, budgets=(5,), previews=False)
    for path in tmp_path.glob("finetune/*/cases.csv"):
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        values = {"low": 0.1, "high": 0.2, "std": 0.3, "over_patients": 0.4, "liver": 0.5}
        for row in rows:
            row |= {f"{measure}_{name}": str(value) for measure in ("dice", "iou") for name, value in values.items()}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    (result,) = results(collect(tmp_path))
    arm = result.arms[0]
    row = unrounded.scores([result])[0]
    for measure, interval in (("dice", arm.interval), ("iou", arm.intervals["iou"])):
        assert (row[f"{measure}_low"], row[f"{measure}_high"]) == interval
        assert row[f"{measure}_std"] == arm.measures[measure][1] > 0
        assert row[f"{measure}_over_patients"] == arm.over_patients[measure]
        shown = {name: row[f"{measure}_{name}"] for name in ("low_class", "high_class", "std_class", "liver")}
        assert shown == pytest.approx({"low_class": 10, "high_class": 20, "std_class": 30, "liver": 50})
        assert row[f"{measure}_over_patients_class"] == pytest.approx(40)
        assert row[f"{measure}_low_class_low"] == pytest.approx(10)
