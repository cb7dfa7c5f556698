"""The simulation of verdicts, small: what a report calls is wrong as rarely as it says."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import verdict_simulation
from verdict_simulation import OUTPUT, SPREADS, Setting, all_settings, page, simulate

FEW = 250


@pytest.mark.parametrize(("seeds", "patients"), [(3, 20), (5, 65)])
@pytest.mark.slow
def test_intervals_hold_and_verdicts_are_rarely_wrong(seeds, patients):
    found = simulate(Setting("normal", SPREADS[2], seeds, patients), FEW)
    assert 0.91 <= found["coverage"] <= 0.99
    assert found["wrong"] <= 0.09
    assert found["family_4"] <= 0.10
    assert found["family_10"] <= 0.10
    assert found["far"] <= 0.02


def test_two_seeds_never_have_a_verdict():
    found = simulate(Setting("normal", SPREADS[3], 2, 20), 60)
    assert (found["wrong"], found["family_10"], found["equivalent"]) == (0, 0, 0)
    assert found["coverage"] > 0.85


def test_collapses_are_seen_and_get_no_verdict():
    found = simulate(Setting("collapse", SPREADS[2], 5, 20), 100)
    assert found["far"] > 0.7
    assert found["wrong"] <= 0.05


def test_simulations_repeat():
    setting = Setting("heavy tails", SPREADS[2], 3, 20)
    assert simulate(setting, 20) == simulate(setting, 20)
    assert simulate(setting, 20) != simulate(setting, 20, seed=1)


def test_the_committed_page_is_that_of_the_committed_numbers():
    records = json.loads(OUTPUT.read_text(encoding="utf-8"))
    assert OUTPUT.with_suffix(".md").read_text(encoding="utf-8") == page(records)
    assert [record["setting"] for record in records] == [
        {**vars(setting), "spread": list(setting.spread)} for setting in all_settings()
    ]
    assert {record["studies"] for record in records} == {verdict_simulation.STUDIES}


def test_the_committed_numbers_are_what_was_promised():
    for record in json.loads(OUTPUT.read_text(encoding="utf-8")):
        setting, found = record["setting"], record["found"]
        if "collapse" in setting["kind"]:
            continue
        error = 2 * (0.07 * 0.93 / record["studies"]) ** 0.5
        assert found["coverage"] >= 0.93, setting
        assert max(found["family_4"], found["family_10"]) <= 0.07 + error, setting
        if setting["spread"][0] >= 6 and setting["kind"] == "normal":
            assert found["coverage"] <= 0.975, setting
