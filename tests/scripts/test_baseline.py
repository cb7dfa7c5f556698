"""The baseline's grid, what it runs and keeps, its interval and its page."""

import gzip
import json
import re
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import baseline
import baseline_ours
from baseline_clock import LoopClock
from baseline_grid import EVERY, RATES, STRONG, TESTED, VARIANTS, WIDE, Trial, all_trials, chosen_trials, rate_of
from baseline_page import page, paired
from baseline_record import best_rate, best_variant, is_kept, keep, read, read_all

from segxfer3d import InputError, run_bundle

TRIAL = Trial("grid", "strong", "hippocampus", 5, 2, 0)
VERSIONS = {"processor": "a processor", "torch": "2", "threads": "1"}


def about(**more):
    numbers = {"seconds": 120.0, "steps": 300, "parameters": 10, "test_seconds": 5.0, "dice": 0.0}
    return {**numbers, "settings": {"recipe": "strong"}, "versions": VERSIONS, **more}


def rows(*dice, patients=None):
    names = patients or [f"P{k}" for k in range(len(dice))]
    return [
        {"case": f"case{k}", "patient": name, "dice": value}
        for k, (name, value) in enumerate(zip(names, dice, strict=True))
    ]


def test_the_grid_is_the_one_that_was_asked_for():
    grid = [trial for trial in all_trials() if trial.stage == "grid"]
    assert len(grid) == len(set(grid)) == 3 * 3 * 2 * 3 * 5 + 3 * 2 * 3 + 3
    assert len({trial.path for trial in all_trials()}) == len(all_trials())
    assert sum(trial.minutes for trial in grid) / 60 == 22.5
    parts = {trial.stage: trial.part for trial in all_trials()}
    assert {stage for stage, part in parts.items() if part == "test"} == set(TESTED)
    assert "lgg" not in {trial.data for trial in all_trials() if trial.stage != "grid"}
    rates = [t.choice for t in all_trials() if (t.stage, t.method, t.data, t.seed) == ("rates", "nnunet", "nodules", 1)]
    assert [rate_of(rate) for rate in rates] == [0.001, 0.003, 0.01, 0.03]
    assert rate_of("lr_rule") is None


def test_a_part_is_chosen_by_its_values():
    some = chosen_trials(
        all_trials(), {"method": ["nnunet"], "stage": ["grid"], "minutes": ["1", "2"], "data": ["lgg"]}
    )
    assert len(some) == 2 * 2 * 5
    with pytest.raises(InputError, match="only minutes=3: expected one of 2, 1, 6, 20, 60"):
        chosen_trials(all_trials(), {"minutes": ["3"]})
    with pytest.raises(InputError, match="only budget: expected one of stage, method"):
        chosen_trials(all_trials(), {"budget": ["3"]})


def test_a_record_is_the_same_bytes_each_time_and_comes_back(tmp_path):
    tables = {"": rows(0.5, 1.0, 0.0, patients=["a", "b", "b"]), "plain": rows(0, 0, 0, patients=["a", "b", "b"])}
    for folder in ("one", "two"):
        keep(tmp_path / folder, TRIAL, about(), tables)
    one, two = (sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file()) for folder in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert is_kept(tmp_path / "one", TRIAL)
    record = read(tmp_path / "one", TRIAL)
    assert record.by_patient() == {"a": 0.5, "b": 0.5}
    assert record.dice == 50
    assert record.about == about()
    assert record.with_inference("plain").dice == 0
    assert record.with_inference("without_mirrored_inference") is None


def test_a_damaged_or_foreign_record_is_refused(tmp_path):
    keep(tmp_path, TRIAL, about(), {"": rows(0.5)})
    other = Trial("grid", "strong", "hippocampus", 5, 2, 1)
    for ending in (".json", ".csv.gz"):
        (tmp_path / f"{other.path}{ending}").write_bytes((tmp_path / f"{TRIAL.path}{ending}").read_bytes())
    with pytest.raises(InputError, match="the record of another trial"):
        read(tmp_path, other)
    (tmp_path / f"{TRIAL.path}.csv.gz").write_bytes(gzip.compress(b"inference,case,patient,dice\n,case0,P0,0.9\n"))
    with pytest.raises(InputError, match="its cases were edited after they were recorded"):
        read(tmp_path, TRIAL)
    (tmp_path / f"{TRIAL.path}.csv.gz").write_bytes(b"none")
    with pytest.raises(InputError, match="a damaged record"):
        read(tmp_path, TRIAL)


def test_choices_are_the_best_on_validation_and_need_all_trials(tmp_path):
    for trial in all_trials():
        if trial.stage == "variants" and trial.choice != WIDE:
            keep(tmp_path, trial, about(), {"": rows(0.8 if trial.choice == "own-planned" else 0.1)})
    assert best_variant(read_all(tmp_path)) == "own-planned"
    wanted = [t for t in all_trials() if (t.stage, t.method) == ("rates", "nnunet")]
    scores = dict(zip(RATES, (0.2, 0.6, 0.5, 0.1), strict=True))
    for trial in wanted:
        if trial == wanted[-1]:
            with pytest.raises(InputError, match="1 trials to run before the choice"):
                best_rate(read_all(tmp_path), "nnunet")
        # the best on one data set alone is not the best on both
        score = scores[trial.choice] + (0.15 if (trial.data, trial.choice) == ("nodules", "lr_0.01") else 0)
        keep(tmp_path, trial, about(), {"": rows(score)})
    assert best_rate(read_all(tmp_path), "nnunet") == "lr_0.003" or scores["lr_0.01"] + 0.075 < scores["lr_0.003"]


def test_the_command_of_the_rival_has_the_choices(tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "best_variant", lambda _: "adam-ours")
    monkeypatch.setattr(baseline, "best_rate", lambda _, method: "lr_rule" if method == "strong" else "lr_0.003")
    options = Namespace(data="D", work=tmp_path, records=tmp_path)
    line = " ".join(baseline.command(Trial("grid", "nnunet", "hippocampus", 20, 6, 3), options))
    expected = "--label_count 20 --seed 3 --part test --first 40 --seconds 360 --trainer adam"
    assert expected in line
    assert line.endswith("--step 0.75 --patch 32,32,16 --batch 4 --features 8 --lr 0.003")
    wide = " ".join(baseline.command(Trial("variants", "nnunet", "hippocampus", 5, 2, 0, WIDE), options))
    assert "--part validation" in wide
    assert not {"--patch", "--features", "--lr", "--first"} & set(wide.split())
    ours = baseline.command(TRIAL, options)
    assert {'recipe="strong"', "minutes=2", "lr=null", "overlap=0.25"} <= set(ours)
    paper = baseline.command(Trial("grid", "paper", "hippocampus", 5, 2, 0), options)
    assert {'recipe="paper"', "lr=0.003", "patch_size=[32, 32, 16]", "width=8", "batch_size=4"} <= set(paper)
    assert set(VARIANTS) >= {"adam-ours", "own-planned"}


def test_the_rival_prepares_the_patients_of_each_part(tmp_path, monkeypatch):
    """Where a fifth of the patients validates, others are labeled than where a twentieth does."""
    monkeypatch.setattr(baseline, "best_variant", lambda _: "adam-ours")
    monkeypatch.setattr(baseline, "best_rate", lambda _, method: "lr_0.003")
    options = Namespace(data="D", work=tmp_path, records=tmp_path)
    trials = [Trial("grid", "nnunet", "hippocampus", 5, minutes, 0) for minutes in (1, 2)]
    trials.append(Trial("rates", "nnunet", "hippocampus", 5, 2, 0, "lr_0.003"))
    lines = [baseline.command(trial, options) for trial in trials]
    one, two, other = (line[line.index("--prepared") + 1] for line in lines)
    assert one == two != other


def test_the_dry_run_says_what_is_left(tmp_path, capsys):
    keep(tmp_path, TRIAL, about(), {"": rows(0.5)})
    baseline.main(["--dry-run", "--records", str(tmp_path), "--only", "stage=grid", "method=strong", "minutes=2"])
    shown = capsys.readouterr().out
    assert "grid, strong, hippocampus, 2 min, 5 labels     1 of 5" in shown
    assert "in all                                         1 of 30" in shown
    with pytest.raises(SystemExit, match="error: --data: where are Task04_Hippocampus"):
        baseline.main(["--records", str(tmp_path), "--data", ""])


def test_a_trial_is_run_and_kept_until_the_hours_are_used(tmp_path, monkeypatch, capsys):
    def command(trial, options):
        run = options.work / trial.path
        code = (
            f"import json; json.dump({about(dice=50.0)!r}, open({str(run / 'ours.json')!r}, 'w'));"
            f"open({str(run / 'cases.csv')!r}, 'w').write('case,patient,dice\\nc,p,0.5\\n')"
        )
        return [sys.executable, "-c", code if trial.seed < 2 else "raise SystemExit(3)"]

    monkeypatch.setattr(baseline, "command", command)
    words = ["--data", "D", "--work", str(tmp_path / "work"), "--records", str(tmp_path / "records"), "--only"]
    words += ["stage=grid", "method=strong", "data=hippocampus", "minutes=2", "labels=5"]
    baseline.main([*words, "seed=0,1", "--hours", "0"])
    assert read_all(tmp_path / "records") == []
    with pytest.raises(SystemExit, match=r"seed_2 failed, see .*log.txt"):
        baseline.main(words)
    assert [record.trial.seed for record in read_all(tmp_path / "records")] == [0, 1]
    assert "seed_1: dice 50.0, 300 steps in 120.0 s" in capsys.readouterr().out


def test_the_page_is_made_from_the_records(tmp_path):
    for method, gain in (("strong", 0.1), ("nnunet", 0.0)):
        for seed in range(3):
            dice = [0.5 + gain + 0.01 * seed, 0.7 + gain, 0.6]
            keep(tmp_path, Trial("grid", method, "hippocampus", 5, 2, seed), about(), {"": rows(*dice)})
    text = page(read_all(tmp_path))
    assert f"6 of {len(all_trials())} trials" in text
    assert "| strong recipe | – | 67.0 ± 0.3 (3) | – | – | – |" in text
    assert "| strong recipe less nnU-Net | hippocampus | 5 | 2 | +6.7 |" in text
    assert "strong recipe less paper" not in text
    # 3 patients are too few for a verdict, and for a p-value to be shown
    assert re.search(r"\| \+6.7 \| \S+ to \S+ \| – \| no verdict \| 3 \| 3 \|", text)
    assert "0 of 42 planned differences are done, with all of their seeds; p is corrected for the 1 that have" in text
    assert text == page(read_all(tmp_path))
    assert str(tmp_path) not in text
    assert "What the minutes can give" not in text
    (trial, *_) = ceiling = [trial for trial in all_trials() if trial.stage == "ceiling"]
    assert {(one.part, one.labels, one.minutes) for one in ceiling} == {("test", EVERY, 6)}
    keep(tmp_path, trial, about(), {"": rows(0.8, 0.9, 0.7)})
    assert "with all 182 training patients labeled: 80.0 (1)." in page(read_all(tmp_path))
    assert max(map(len, text.split("## Commands")[0].split("\n"))) < 250


@pytest.mark.parametrize(("shift", "verdict"), [(0.1, "better"), (-0.1, "worse"), (0.001, "equivalent")])
def test_differences_have_the_verdicts_of_a_report(tmp_path, shift, verdict):
    noise = np.random.default_rng(0).normal(0, 0.005, (2, 5, 20))
    for (method, gain), by_seed in zip((("strong", shift), ("nnunet", 0.0)), noise, strict=True):
        for seed, off in enumerate(by_seed):
            dice = rows(*(0.6 + gain + off))
            keep(tmp_path, Trial("grid", method, "hippocampus", 5, 2, seed), about(), {"": dice})
    line = next(line for line in page(read_all(tmp_path)).splitlines() if line.startswith("| strong recipe less"))
    assert line.split(" | ")[-3:] == [verdict, "5", "20 |"]


def test_the_committed_page_is_made_from_the_committed_records():
    records = read_all(baseline.RECORDS)
    assert baseline.PAGE.read_text(encoding="utf-8") == page(records)
    known = {f"{record.trial.path}{ending}" for record in records for ending in (".json", ".csv.gz")}
    files = {str(path.relative_to(baseline.RECORDS)) for path in baseline.RECORDS.rglob("*") if path.is_file()}
    assert files == known


def test_records_that_do_not_compare_are_refused(tmp_path):
    other = Trial("grid", "strong", "hippocampus", 5, 2, 1)
    keep(tmp_path, TRIAL, about(), {"": rows(0.5)})
    keep(tmp_path, other, about(settings={"recipe": "strong", "width": 4}), {"": rows(0.5)})
    with pytest.raises(InputError, match=r"other settings than .*seed_0 \(width\)"):
        page(read_all(tmp_path))
    rival = Trial("grid", "nnunet", "hippocampus", 5, 2, 0)
    keep(tmp_path, rival, about(), {"": rows(0.5, 0.6)})
    with pytest.raises(InputError, match="measured on other patients"):
        paired([read(tmp_path, TRIAL)], [read(tmp_path, rival)])


def test_the_clock_counts_the_loop_alone():
    clock, seen = LoopClock(), []
    trainer = Engine(lambda _, batch: seen.append(torch.rand(200, 200) @ torch.rand(200, 200)))
    whole = SimpleNamespace(add_event_handler=trainer.add_event_handler, run=lambda: trainer.run([0] * 5, max_epochs=2))
    clock.run(whole)
    assert clock.steps == len(seen) == 10
    assert clock.wall_seconds > 0


@pytest.mark.slow
def test_a_fine_tuning_is_clocked_and_scored(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline_ours, "loop", sys.modules["baseline_clock"].loop)
    small = {
        "init": "random",
        "width": 2,
        "patch_size": [16, 16, 8],
        "max_epochs": 2,
        "steps_per_epoch": 2,
        "overlap": 0,
    }
    words = [word for name, value in small.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    run = tmp_path / "trial"
    baseline_ours.main([str(phantoms), str(run), "--label_count", "2", "--seed", "1", *words])
    record = json.loads((run / "ours.json").read_text())
    assert record["steps"] == 4
    assert record["seconds"] > 0
    assert record["settings"]["width"] == 2
    assert "seed" not in record["settings"]
    assert str(tmp_path) not in json.dumps(record)
    assert not (run / "run" / "cases.csv").exists()
    # the same numbers as the bundle's own table
    options = {"dataset_dir": str(phantoms), "label_count": 2, "seed": 1, "validation_fraction": 0.05, **small}
    run_bundle("genesis_finetune", **options, progress=False, output_dir=str(tmp_path / "own"))
    own, ours = ((path / "cases.csv").read_text().splitlines() for path in (tmp_path / "own", run))
    assert own == ours


def test_records_are_compressed(tmp_path):
    keep(tmp_path, TRIAL, about(), {"": rows(0.5)})
    assert gzip.decompress((tmp_path / f"{TRIAL.path}.csv.gz").read_bytes()).startswith(
        b"inference,case,patient,dice\n"
    )


def test_another_inference_is_compared_with_the_same_trainings(tmp_path):
    for seed in range(2):
        tables = {"": rows(0.5, 0.7), "without_mirrored_inference": rows(0.4, 0.5 + 0.1 * seed)}
        keep(tmp_path, Trial("ingredients", "strong", "nodules", 5, 2, seed, STRONG), about(), tables)
    text = page(read_all(tmp_path))
    assert "| without mirrored inference | – | – | 47.5 ± 3.5 (2) | -12.5 (" in text
    assert "| without largest component | – | – | – | – |" in text


def test_inference_without_a_part_is_a_copy_of_the_model_that_says_so(tmp_path):
    torch.save(
        {"inference": {"activation": "softmax", "mirror_axes": [0], "largest_component": [1]}}, tmp_path / "m.pt"
    )
    copy = baseline_ours.changed(tmp_path / "m.pt", "plain", {"mirror_axes": []})
    assert torch.load(copy)["inference"] == {"activation": "softmax", "mirror_axes": [], "largest_component": [1]}
    assert torch.load(tmp_path / "m.pt")["inference"]["mirror_axes"] == [0]
    line = baseline.command(
        Trial("ingredients", "strong", "hippocampus", 5, 2, 0, STRONG),
        Namespace(data="D", work=tmp_path, records=tmp_path),
    )
    assert "--inference" in line
