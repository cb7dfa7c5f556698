"""The table of all folds, with the right numbers written by hand."""

import csv
import json

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.evaluation.folds import join_folds, write_folds
from segxfer3d.evaluation.metrics import GenesisIoU
from segxfer3d.evaluation.soft_dice import pooled_figures, soft_sums
from segxfer3d.evaluation.summary import format_table

HEAD = "case,patient,dice,iou,dice_front,iou_front,label_mm3,prediction_mm3,empty_label"
FOLDS = (
    ["b,p2,0.5,0.25,0.4,0.2,10.0,8.0,0", "a,p1,0.9,0.8,0.8,0.7,20.0,21.0,0"],
    ["c,p3,0.1,0.05,0.2,0.1,30.0,1.0,0", "007,p1,0.7,0.6,0.6,0.5,0.0,0.0,1"],
)


def write(root, folds=FOLDS, **files):
    runs = []
    for number, rows in enumerate(folds):
        run = root / f"fold{number}"
        run.mkdir()
        (run / "cases.csv").write_text("\n".join([HEAD, *rows]) + "\n")
        for name, texts in files.items():
            (run / f"{name}.csv").write_text(texts[number])
        runs.append(run)
    return runs


def test_every_case_once_with_its_fold(tmp_path):
    table = join_folds(write(tmp_path))
    assert [(row["case"], row["fold"]) for row in table.rows] == [("007", 1), ("a", 0), ("b", 0), ("c", 1)]
    assert table.rows[1]["label_mm3"] == 20.0
    assert (table.summary["cases"], table.summary["patients"], table.summary["empty_labels"]) == (4, 3, 1)
    assert table.summary["dice"] == pytest.approx((0.5 + 0.9 + 0.1 + 0.7) / 4)
    assert table.summary["dice_std"] == pytest.approx(0.3415650255)
    assert table.summary["iou_front"] == pytest.approx((0.2 + 0.7 + 0.1 + 0.5) / 4)
    assert table.summary["patient_dice"] == pytest.approx((0.8 + 0.5 + 0.1) / 3)  # p1 has two cases
    assert table.summary["patient_iou"] == pytest.approx((0.7 + 0.25 + 0.05) / 3)
    assert table.lesion_cases == []


def test_figures_of_all_voxels_are_those_of_one_table(tmp_path):
    runs = write(tmp_path)
    torch.manual_seed(0)
    cases = {name: (torch.rand(2, 6, 5, 4), (torch.rand(2, 6, 5, 4) > 0.6).float()) for name in ("b", "a", "c", "007")}
    whole = GenesisIoU()
    for run, names in zip(runs, (("b", "a"), ("c", "007")), strict=True):
        part = GenesisIoU()
        for name in names:
            part.update(cases[name])
            whole.update(cases[name])
        sums = {name: list(soft_sums(*cases[name])) for name in names}
        (run / "cases_pooled.json").write_text(json.dumps({"cases": sums, "voxels": part.counted()}))
    summary = write_folds(tmp_path, runs).summary
    expected = pooled_figures([soft_sums(*cases[name]) for name in ("007", "a", "b", "c")])
    assert {name: summary[name] for name in expected} == expected
    assert summary["genesis_iou"] == whole.compute()
    (runs[1] / "cases_pooled.json").write_text('{"cases": {"c": [1, 2, 3]}, "voxels": [[0, 1], [1, 0]]}')
    with pytest.raises(InputError, match=r"no sums of 007 in cases_pooled\.json"):
        join_folds(runs)
    (runs[1] / "cases_pooled.json").write_text('{"cases": {"c": [1, 2]}')
    with pytest.raises(InputError, match=r"fold1/cases_pooled\.json: damaged"):
        join_folds(runs)


def test_trainings_of_earlier_versions_have_no_figure_of_pooled_voxels(tmp_path):
    text = format_table("2 folds", join_folds(write(tmp_path)).summary)
    assert "2 folds: 4 cases of 3 patients, 1 with an empty label" in text
    assert ["patient_dice", "0.467", "0.351", "over", "patients"] in [line.split() for line in text.splitlines()]
    assert "pooled" not in text


def test_lesions_of_all_folds_are_counted_together(tmp_path):
    head = "class,case,patient,lesions,found,false_positives,lesion_dice,lesion_surface_dice,volume_error_mm3\n"
    each = "class,case,patient,lesion,found,dice,surface_dice,label_mm3,prediction_mm3,volume_error_mm3,"
    each += "volume_error_percent\n"
    cases = [
        head + "n,b,p2,2,1,1,0.3,0.3,0\nn,a,p1,0,0,0,1.0,1.0,0\n",
        head + "n,c,p3,1,1,0,0.8,0.9,0\nn,007,p1,0,0,2,0,0,0\n",
    ]
    lesions = [
        each + "n,b,p2,1,1,0.6,0.6,10,10,0,0\nn,b,p2,2,0,0.0,0.0,10,0,-10,-100\n",
        each + "n,c,p3,1,1,0.8,0.9,10,9,-1,-10\n",
    ]
    summary = join_folds(write(tmp_path, lesion_cases=cases, lesions=lesions)).summary
    assert (summary["lesions"], summary["false_positives"]) == (3, 3)
    assert summary["lesion_sensitivity"] == pytest.approx(2 / 3)
    assert summary["lesion_dice"] == pytest.approx((0.6 + 0 + 0.8) / 3)
    assert summary["false_positives_per_scan"] == pytest.approx(3 / 4)


def test_what_is_written(tmp_path):
    runs = write(tmp_path)
    table = write_folds(tmp_path, runs)
    with (tmp_path / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["007", "a", "b", "c"]
    assert json.loads((tmp_path / "cases_summary.json").read_text()) == table.summary
    assert json.loads((tmp_path / "folds.json").read_text()) == {
        "folds": 2, "models": ["fold0/model.pt", "fold1/model.pt"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ((FOLDS[0], [FOLDS[0][0]]), "several folds tested b; expected each case once"),
        ((FOLDS[0], []), "no case in the table of fold1"),
        ((FOLDS[0], ["c,p3,high,0,0,0,0,0,0"]), r"fold1.cases.csv: cannot be read"),
    ],
)
def test_tables_that_make_no_whole(tmp_path, folds, message):
    with pytest.raises(InputError, match=message):
        join_folds(write(tmp_path, folds))


def test_a_fold_without_a_table(tmp_path):
    runs = write(tmp_path)
    (runs[1] / "cases.csv").unlink()
    with pytest.raises(InputError, match=r"fold1/cases.csv: cannot be read"):
        join_folds(runs)


def test_what_one_plan_for_all_folds_was_made_from_is_said(tmp_path):
    runs = write(tmp_path)
    assert "planned_from" not in write_folds(tmp_path, runs).summary
    summary = write_folds(tmp_path, runs, planned_from="all cases").summary
    assert summary["planned_from"] == "all cases"
    assert json.loads((tmp_path / "cases_summary.json").read_text()) == summary
    assert format_table("2 folds", summary) == format_table("2 folds", join_folds(runs).summary)
