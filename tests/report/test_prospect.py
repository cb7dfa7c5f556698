"""What a planned study could find: spreads from pilots, the family, hours, and the command."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from segxfer3d.cli import cli
from segxfer3d.errors import InputError
from segxfer3d.report import prospect
from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.statistics.components import Components
from segxfer3d.statistics.power import equivalence, power
from segxfer3d.study.estimate import Cost, kind_of
from segxfer3d.study.grid import write as write_grid
from tests.report.made_studies import write_run, write_study
from tests.study.studies import content, plan, write


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pilot")
    write_study(folder, budgets=(5, 20), previews=False)
    return folder


def test_a_pilot_gives_the_mean_squares_of_its_comparisons_with_the_reference(pilot):
    small, large = prospect.from_pilot(pilot)
    assert (small.title, large.title) == ("5 labeled patients", "20 labeled patients")
    result = results(collect(pilot))[0]
    squares = [pair.squares for pair, _ in result.comparisons if pair.reference == "random"]
    assert len(squares) == 2
    rest = np.mean([each.rest for each in squares])
    assert small.components.rest == pytest.approx(rest)
    assert small.components.seed == pytest.approx(max(0, np.mean([each.seed for each in squares]) - rest) / 16)
    assert (small.seeds, small.patients, small.levels) == (5, 16, "seeds")
    low, high = small.limits
    assert low.seed <= small.components.seed <= high.seed


def test_a_pilot_of_repeated_pretrainings_knows_nothing_from_one_checkpoint(pilot, monkeypatch):
    result = results(collect(pilot))[0]
    (one, verdict), (other, _) = [entry for entry in result.comparisons if entry[0].reference == "random"]
    repeated = replace(other, scope="pretext", squares=replace(other.squares, seeds=3), units="images")
    for pairs in ((one, repeated), (repeated, one)):
        mixed = replace(result, comparisons=tuple((pair, verdict) for pair in pairs))
        monkeypatch.setattr(prospect, "results", lambda _, mixed=mixed: [mixed])
        (spread,) = prospect.from_pilot(pilot)
        assert (spread.levels, spread.seeds, spread.units) == ("pretrainings", 3, "images")
        assert spread.components == repeated.squares.components()


def test_assumed_deviations_are_squared_and_checked():
    assert prospect.assumed(3, 0, 8).components == Components(9, 0, 64)
    for wrong in ((-1, 2, 3), (0, 0, 0), (float("nan"), 1, 1)):
        with pytest.raises(InputError, match="expected three numbers of at least 0"):
            prospect.assumed(*wrong)


def test_the_family_is_that_of_the_report(tmp_path):
    study, _ = plan(
        tmp_path,
        arms={
            "random": {"init": "random"},
            "encoder": {"init": "encoder", "pretrain": "genesis"},
            "encoder+decoder": {"init": "encoder+decoder", "pretrain": "genesis"},
        },
        budgets=[{"label_count": 2}, {"label_count": 5}],
    )
    assert prospect.family_of(study) == 6  # two with random and the two with each other, at two budgets


def test_the_family_is_that_of_the_report_where_a_pretext_has_two_pretrainings(tmp_path):
    stage = content()["pretrain"]["genesis"]
    long = {**stage, "knobs": {**stage["knobs"], "max_epochs": 4}}
    arms = {
        f"{init}-{name}": {"init": init, "pretrain": name}
        for name in ("short", "long")
        for init in ("encoder", "encoder+decoder")
    }
    changes = {"pretrain": {"short": stage, "long": long}, "arms": {"random": {"init": "random"}, **arms}}
    study, trials = plan(tmp_path / "file", **changes)
    (tmp_path / "study").mkdir()
    write_grid(study, trials, tmp_path / "study")
    for trial in trials:
        if trial.kind == "finetune":
            folder = tmp_path / "study" / trial.folder
            write_run(folder, init=trial.arm, seed=trial.seed, gain=0.1, knobs=dict(trial.knobs))
    (result,) = results(collect(tmp_path / "study"))
    assert len(result.comparisons) == prospect.family_of(study) == 7


def test_without_a_random_arm_no_comparison_is_there_twice(tmp_path):
    both = {"encoder": {"init": "encoder", "pretrain": "genesis"}}
    both["encoder+decoder"] = {"init": "encoder+decoder", "pretrain": "genesis"}
    study, _ = plan(tmp_path / "file", arms=both)
    write_study(tmp_path / "study", budgets=(5,), arms={"encoder": 0.08, "encoder+decoder": 0.075}, previews=False)
    (result,) = results(collect(tmp_path / "study"))
    ((pair, _),) = result.comparisons
    assert (pair.arm, pair.reference, pair.family) == ("encoder+decoder", "encoder", 1)
    assert prospect.family_of(study) == len(study.budgets) * pair.family


def test_chances_are_those_of_the_test_itself():
    spread = prospect.assumed(1, 3, 5)
    found = prospect.prospect(spread, levels=5, patients=40, effect=2, family=3)
    assert found.found == power(spread.components, seeds=5, patients=40, effect=2, family=3)
    assert found.equivalent == equivalence(spread.components, seeds=5, patients=40, margin=2)
    assert found.found_range is None


@pytest.mark.parametrize(("levels", "patients"), [(2, 40), (5, 5)])
def test_where_a_report_gives_no_verdict_nothing_is_promised(levels, patients, tmp_path):
    found = prospect.prospect(prospect.assumed(1, 1, 1), levels=levels, patients=patients, effect=5, family=3)
    assert (found.verdict, found.found, found.equivalent) == (False, 0, 0)
    asked = ("--sd", 1, 1, 1, "--margin", 5, "--no-timing", "--patients", patients, "--patients", 60)
    done = run(write(tmp_path), *asked, "--seeds", levels, "--seeds", 20)
    table = {line.split()[0]: line.split()[1:] for line in done.output.splitlines() if line.strip()}
    few = ["no", "verdict", "–"]
    assert table[str(levels)] == [*few, *(few if levels < 3 else ["100", "%", "100", "%"])]
    assert table["20"] == [*(few if patients < 6 else ["100", "%", "100", "%"]), "100", "%", "100", "%"]


def test_equivalence_is_as_likely_as_simulated():
    from segxfer3d.statistics.crossed import crossed_mean

    rng = np.random.default_rng(0)
    of = Components(1.0, 4.0, 25.0)
    inside = 0
    for _ in range(600):
        drawn = rng.normal(0, 1, (5, 1)) + rng.normal(0, 2, (1, 40)) + rng.normal(0, 5, (5, 40))
        low, high = crossed_mean(drawn).interval
        inside += low > -2 and high < 2
    assert equivalence(of, seeds=5, patients=40, margin=2) == pytest.approx(inside / 600, abs=0.06)
    assert equivalence(of, seeds=5, patients=40, margin=0.5) < 0.05
    assert equivalence(Components(0, 0, 0), seeds=5, patients=40, margin=1) == 1


def test_hours_count_pretraining_once_or_with_each_repetition(tmp_path):
    def costs(trials):
        return {kind_of(trial): Cost(7200 if trial.kind == "pretrain" else 360, "given") for trial in trials}

    study, trials = plan(tmp_path)
    assert prospect.hours(trials, costs(trials), study, 2) == pytest.approx(2 + 4 * 0.1)
    assert prospect.hours(trials, costs(trials), study, 10) == pytest.approx(2 + 20 * 0.1)
    study, trials = plan(tmp_path, pretrain_seeds=[0, 1], seeds=[0, 1, 2, 3])
    assert prospect.hours(trials, costs(trials), study, 5) == pytest.approx(5 * (2 + 4 * 0.1))
    study, trials = plan(
        tmp_path, seeds=[0, 1, 2, 3, 4], budgets=[{"label_count": 2}, {"label_count": 4, "seeds": [0, 1]}]
    )
    assert prospect.hours(trials, costs(trials), study, 10) == pytest.approx(2 + 2 * 20 * 0.1)
    unknown = {kind: Cost(None, "no") for kind in costs(trials)}
    assert prospect.hours(trials, unknown, study, 5) is None


def run(*arguments):
    return CliRunner().invoke(cli, ["study", "power", *map(str, arguments)])


def test_the_command_shows_what_could_be_found(tmp_path, pilot):
    file = write(tmp_path, margin=3)
    done = run(file, "--pilot", pilot, "--no-timing", "--seeds", 3, "--seeds", 12)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "small: 1 comparisons, corrected together"
    assert "a true difference of 3 dice points" in lines[1]
    assert max(map(len, lines)) <= 80
    table = [line.split() for line in lines if line.split()[:1] in (["3"], ["12"])]
    assert len(table) == 4  # two budgets of the pilot
    spread = prospect.from_pilot(pilot)[0]
    expected = prospect.prospect(spread, levels=3, patients=16, effect=3, family=1)
    assert table[0][1] == f"{100 * expected.found:.0f}"
    assumed = run(file, "--sd", 1, 3, 5, "--no-timing", "--patients", 30)
    assert "30 patients" in assumed.output


def test_what_cannot_be_answered_is_refused(tmp_path, pilot):
    file = write(tmp_path)
    assert "expected --sd SEED PATIENT REST or --pilot FOLDER" in str(run(file, "--no-timing").exception)
    repeated = write(tmp_path / "repeated", pretrain_seeds=[0, 1])
    assert "the pilot varies seeds, the study pretrainings" in str(run(repeated, "--pilot", pilot).exception)
    crossed = write(tmp_path / "crossed", pretrain_seeds=[0, 1], pretrain_design="crossed")
    assert "expected pretrain_design nested" in str(run(crossed, "--sd", 1, 2, 3).exception)
    one = tmp_path / "one"
    write_study(one, seeds=1, budgets=(5,), previews=False)
    assert "no comparison with at least 2 seeds and 2 patients" in str(run(file, "--pilot", one).exception)
