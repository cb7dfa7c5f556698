import csv

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.evaluation.metrics import case_row
from segxfer3d.report.scores import read_scores
from segxfer3d.statistics.scores import Score


def test_the_rows_that_runs_write_are_read(tmp_path):
    probabilities = torch.full((1, 2, 2, 2), 0.9)
    rows = [case_row(f"c{i}", "p0", probabilities, torch.arange(8).reshape(1, 2, 2, 2) > i, 1.0) for i in range(3)]
    file = tmp_path / "cases.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    read = read_scores(file, "encoder", 5, 3, "iou")
    assert read == [Score("encoder", 5, 3, f"c{i}", "p0", rows[i]["iou"]) for i in range(3)]


def test_bad_files_are_named(tmp_path):
    file = tmp_path / "cases.csv"
    with pytest.raises(InputError, match=r"cases\.csv cannot be read"):
        read_scores(file, "random", 5, 0)
    file.write_text("case,patient,iou\nc0,p0,0.5\n")
    with pytest.raises(InputError, match="no column dice; it has case, patient, iou"):
        read_scores(file, "random", 5, 0)
    file.write_text("case,patient,dice\n")
    with pytest.raises(InputError, match="no case in it"):
        read_scores(file, "random", 5, 0)
    file.write_text("case,patient,dice\nc0,p0,\n")
    with pytest.raises(InputError, match="dice of case c0 is '', no number"):
        read_scores(file, "random", 5, 0)
