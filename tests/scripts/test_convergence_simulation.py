"""Times to converge are found in simulated trainings, and the committed table is what the script writes."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import convergence_simulation as simulation


def test_the_fit_is_near_the_truth_where_first_passage_is_not():
    found = simulation.simulate(simulation.Setting("exponential", 20, 5, 5.0), studies=60)
    assert found["fit"] == pytest.approx(found["true"], abs=3)
    assert found["passage"] < found["true"] - 6
    assert found["found"] == pytest.approx(found["difference"], abs=5)
    assert found["fit_holds"] > 0.8


def test_intervals_hold_in_the_committed_table():
    records = json.loads(simulation.OUTPUT.read_text(encoding="utf-8"))
    assert [simulation.Setting(**record["setting"]) for record in records] == simulation.all_settings()
    for record in records:
        if record["setting"]["shape"] != "two speeds":
            assert record["found"]["difference_holds"] > 0.9
            assert record["found"]["fit_holds"] > 0.86
    page = simulation.OUTPUT.with_suffix(".md").read_text(encoding="utf-8")
    assert page == simulation.page(records)
