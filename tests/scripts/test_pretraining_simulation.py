"""The simulation of repeated pretrainings: small, and what is committed of the whole one."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import pretraining_simulation
from pretraining_simulation import OUTPUT, SPREADS, Setting, all_settings, page, simulate


@pytest.mark.parametrize(("design", "seeds"), [("nested", 6), ("crossed", 3)])
def test_intervals_hold_for_the_pretext_and_not_as_one_checkpoint(design, seeds):
    found = simulate(Setting(design, SPREADS[3], 3, seeds, 20), 120)
    assert found["coverage"] >= 0.92
    assert found["wrong"] <= 0.08
    if design == "crossed":
        assert found["checkpoint"] < 0.9  # 0.82 of 2,000


def test_the_committed_page_is_that_of_the_committed_numbers():
    records = json.loads(OUTPUT.read_text(encoding="utf-8"))
    assert OUTPUT.with_suffix(".md").read_text(encoding="utf-8") == page(records)
    assert [record["setting"] for record in records] == [
        {**vars(setting), "spread": list(setting.spread)} for setting in all_settings()
    ]
    assert {record["studies"] for record in records} == {pretraining_simulation.STUDIES}
    assert min(record["found"]["coverage"] for record in records) >= 0.93
    assert max(record["found"]["wrong"] for record in records) <= 0.07
