"""What a report says of runs that are in no table."""

import json
import shutil

from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from tests.report.made_studies import write_json, write_study


def test_a_run_that_no_table_has_is_named_with_its_pretraining_and_the_reason(tmp_path):
    """Of a crossed design whose third pretraining has one seed: that seed counts, from the other two."""
    trials = write_study(tmp_path, seeds=4, budgets=(5,), arms={"random": 0.0, "encoder": 0.08}, previews=False)
    ordered = []
    for trial in trials:
        starts = (0, 1, 2) if trial["seed"] == 0 else (0, 1)
        for start in starts if trial["arm"] == "encoder" else (None,):
            place = trial["folder"] if start is None else f"{trial['folder']}-p{start}"
            if start is not None:
                shutil.copytree(tmp_path / trial["folder"], tmp_path / place)
            ordered.append({**trial, "id": place, "folder": place, "pretrain_seed": start})
    write_json(tmp_path / "trials.json", ordered)
    study = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "study.json", study | {"pretrain_seeds": [0, 1, 2], "pretrain_design": "crossed"})
    (result,) = results(collect(tmp_path))
    assert [note for note in result.notes if "no interval" in note] == [
        "encoder with seed 0 from pretraining 2 counts in no interval and no comparison: not every seed is done from "
        "pretraining 2."
    ]
