"""The paper's claims: every answer there is, made of a study's own comparisons."""

import csv
import json
from pathlib import Path

import pytest

from segxfer3d.report.arms import Arm, study_arms
from segxfer3d.report.claims import NOT_ASKED, NOT_DONE, claims
from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.results_page import write_results_page
from segxfer3d.report.words import answer
from segxfer3d.study.grid import resolved
from segxfer3d.study.study_file import read_study
from tests.report.made_studies import write_json, write_study

SHIPPED = Path(__file__).parents[2] / "bundles" / "studies"

PRETEXTS = {
    "random": (None, "random"),
    "simclr": ("simclr", "encoder"),
    "rec": ("reconstruction", "encoder"),
    "conrec": ("conrec", "encoder"),
    "conrec-both": ("conrec", "encoder+decoder"),
    "conrec-again": ("conrec", "encoder"),
    "rec-both": ("reconstruction", "encoder+decoder"),
    "short": ("short", "encoder"),
    "short-both": ("short", "encoder+decoder"),
    "long": ("long", "encoder"),
    "long-both": ("long", "encoder+decoder"),
}


def study(folder, gains, seeds=5, budgets=(5,), margin=None, knobs=None, **more):
    """A study of these arms, each with its pretext, and what it answers."""
    write_study(folder, seeds=seeds, budgets=budgets, arms=gains, previews=False, **more)
    content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    jobs = {n: "genesis" if n in ("short", "long") else n for n, _ in PRETEXTS.values() if n}
    content["pretrain"] = {n: {"config": f"/b/{job}_pretrain.json"} for n, job in jobs.items()}
    for name in gains:
        pretext, init = PRETEXTS[name]
        content["arms"][name] |= {"init": init, "pretrain": pretext, "knobs": (knobs or {}).get(name, {})}
    write_json(folder / "study.json", content | ({"margin": margin} if margin else {}))
    return answers(folder)


def answers(folder):
    collection = collect(folder)
    return claims(results(collection), collection.arms)


ALL = {"random": 0.0, "simclr": 0.05, "rec": 0.15, "conrec": 0.30, "conrec-both": 0.30}


def test_yes_and_no(tmp_path):
    decoder, kinds, conrec, steps = study(tmp_path, ALL, margin=20)
    assert (decoder.answer, decoder.why) == ("no", "the only comparison says no")
    assert (kinds.answer, kinds.why) == ("undecided", "1 of 2 comparisons says yes, 1 says no")  # one within 20
    assert conrec.answer == "no"
    assert decoder.margin == 20
    assert steps.margin is None
    assert "margin 20 dice points" in decoder.sentence
    decoder, kinds, conrec, _ = study(tmp_path, ALL | {"conrec-both": 0.40})
    assert (decoder.answer, kinds.answer, conrec.answer) == ("yes", "yes", "yes")
    assert [(one.arm, one.reference) for one in kinds.findings] == [("rec", "simclr"), ("conrec", "simclr")]
    (finding,) = decoder.findings
    assert (finding.arm, finding.reference, finding.labels) == ("conrec-both", "conrec", "5 labeled patients")
    assert finding.interval[0] > 0
    assert finding.difference == pytest.approx(10, abs=3)


def test_a_comparison_made_the_other_way_round_is_turned(tmp_path):
    order = {"random": 0.0, "rec": 0.3, "conrec": 0.0, "simclr": 0.1}
    _, kinds, conrec, _ = study(tmp_path, order)
    (one,) = conrec.findings
    assert (one.arm, one.reference, one.answer, one.verdict) == ("conrec", "rec", "no", "worse")
    assert one.interval[0] < one.difference < one.interval[1] < 0
    assert [each.answer for each in kinds.findings] == ["yes", "no"]
    assert kinds.answer == "undecided"


@pytest.mark.parametrize("said", ["", "2 or 4", None])
def test_what_kind_an_encoder_is_of_is_known_from_its_pretext_where_its_arm_does_not_say(said, tmp_path):
    study(tmp_path, {"random": 0.0, "simclr": 0.05, "rec": 0.15})
    content = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    for name in ("simclr", "rec"):
        content["arms"][name]["scenario"] = said
    write_json(tmp_path / "study.json", content)
    collection = collect(tmp_path)
    assert [arm.scenario for arm in collection.arms] == ["1", "2", "4"]
    assert claims(results(collection), collection.arms)[1].answer == "yes"
    content["arms"]["rec"]["scenario"] = "2"  # whoever says it is believed
    write_json(tmp_path / "study.json", content)
    assert [arm.scenario for arm in collect(tmp_path).arms] == ["1", "2", "2"]
    assert answers(tmp_path)[1].answer == NOT_ASKED


def test_a_study_file_need_not_say_what_kind_an_encoder_is_of():
    study = json.loads((SHIPPED / "horses_choices.json").read_text(encoding="utf-8"))
    read = read_study(SHIPPED / "horses_choices.json", {"horses_dir": ".", "flowers17_dir": "."})
    assert not any("scenario" in arm for arm in study["arms"].values())
    arms = study_arms(resolved(read), {})
    assert [arm.scenario for arm in arms] == ["1"] * 2 + ["2"] * 3 + ["4"] * 6
    _, kinds, _, _ = claims([], arms)
    assert (kinds.answer, kinds.why) == ("undecided", NOT_DONE)


def test_a_pretext_is_known_by_a_bundle_of_another_name(tmp_path):
    study(tmp_path, {"random": 0.0, "simclr": 0.05, "rec": 0.15})
    content = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    content["pretrain"]["simclr"]["config"] = "/b/mine.json"
    write_json(tmp_path / "study.json", content)
    (trial, *others) = json.loads((tmp_path / "trials.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "trials.json", [trial | {"config": "/b/mine.json", "pretrain": "simclr"}, *others])
    run = tmp_path / trial["folder"] / "run.json"
    note = {"title": "SimCLR", "scenario": "2", "citation": "Chen T, et al."}
    write_json(run, json.loads(run.read_text(encoding="utf-8")) | {"job": "simclr_pretrain", "pretext": note})
    assert [(arm.pretext, arm.scenario) for arm in collect(tmp_path).arms][1] == ("SimCLR", "2")


def test_few_seeds_leave_it_open_and_say_what_would_decide(tmp_path):
    decoder, _, _, steps = study(tmp_path, ALL | {"conrec-both": 0.31}, seeds=2)
    assert decoder.answer == steps.answer == "undecided"
    assert decoder.findings[0].verdict == "no verdict; 2 seeds, at least 3 needed"
    assert steps.findings[0].verdict == "no verdict; 2 seeds, at least 3 needed"
    decoder, *_ = study(tmp_path / "more", {"random": 0.0, "conrec": 0.1, "conrec-both": 0.105})
    assert decoder.findings[0].verdict.startswith("undecided; ")
    assert "would find a difference of the margin" in decoder.findings[0].verdict


def test_arms_that_learned_nothing_and_few_identical_ones_answer_nothing(tmp_path):
    arms = dict.fromkeys(("random", "conrec", "conrec-both"), 5)  # is cut off: dice 1 in every case
    found = {seeds: study(tmp_path / f"{seeds}", arms, seeds=seeds)[0] for seeds in (2, 3)}
    assert (found[3].answer, found[3].findings[0].verdict) == ("no", "identical")
    assert found[2].answer == "undecided"
    assert found[2].findings[0].verdict == "identical; 2 seeds, at least 3 needed"
    for path in (tmp_path / "3/finetune").glob("*/cases.csv"):
        path.write_text(path.read_text(encoding="utf-8").replace(",1.0,", ",0.0,"), encoding="utf-8")
    decoder, *_ = answers(tmp_path / "3")
    assert decoder.answer == "undecided"
    assert decoder.findings[0].verdict == "no verdict; neither learned anything, dice 0 in every case"
    assert answer(results(collect(tmp_path / "3"))).endswith(
        "are without a verdict (neither learned anything, dice 0 in every case)."
    )


def test_what_a_study_does_not_ask(tmp_path):
    found = study(tmp_path, {"random": 0.0, "simclr": 0.1})
    assert [claim.answer for claim in found] == [NOT_ASKED] * 4
    assert found[0].why == "it takes the arms encoder and encoder+decoder of one pretraining"


def test_what_is_asked_and_not_run_yet_is_undecided():
    pretexts = ("ConRec", "ConRec", "SimCLR")
    inits, scenarios = ("encoder", "encoder+decoder", "encoder"), ("4", "3", "2")
    made = zip("abc", inits, pretexts, scenarios, strict=True)
    arms = [Arm(*each, source=each[2]) for each in made]
    found = claims([], arms)
    assert [claim.answer for claim in found] == ["undecided", "undecided", NOT_ASKED, "undecided"]
    assert found[0].why == found[3].why == "the runs that it takes are not done"


def test_why_comparisons_cannot_be_made(tmp_path):
    decoder, *_, steps = study(tmp_path / "a", ALL, curve=False)
    assert (decoder.answer, steps.answer) == ("no", "undecided")
    assert steps.why == "no run was validated twice while it trained"
    study(tmp_path / "b", ALL)
    for seed in range(5):
        (tmp_path / f"b/finetune/conrec-both-n5-s{seed}/metrics.jsonl").write_text("")
    assert answers(tmp_path / "b")[3].why == "5 labeled patients: no seed has a curve of both conrec-both and conrec"
    for seed in range(5):
        (tmp_path / f"b/finetune/conrec-both-n5-s{seed}/done.json").rename(
            tmp_path / f"b/finetune/conrec-both-n5-s{seed + 5}.json"
        )
    assert answers(tmp_path / "b")[0].why == "the runs that it takes are not done"


def test_arms_of_other_settings_are_said_not_to_be_compared(tmp_path):
    rates = {"conrec": 0.1, "conrec-both": 0.2, "conrec-again": 0.3}
    gains = {"random": 0.0, **dict.fromkeys(rates, 0.1), "rec": 0.1, "rec-both": 0.4}
    folder = tmp_path / "s"
    study(folder, gains, knobs={name: {"lr": rate} for name, rate in rates.items()})
    decoder, *_, steps = answers(folder)
    assert [(one.arm, one.reference) for one in decoder.findings] == [("rec-both", "rec")]
    left_out = "not among them: conrec-both and conrec are not compared, for they differ in lr"
    assert (decoder.answer, decoder.why) == ("yes", f"the only comparison says yes; {left_out}")
    assert steps.why.endswith(left_out)
    study(folder, {name: gain for name, gain in gains.items() if name != "rec-both"},
          knobs={name: {"lr": rate} for name, rate in rates.items()})  # fmt: skip
    assert answers(folder)[0].why == "conrec-both and conrec are not compared, for they differ in lr"


def test_decoders_are_compared_within_a_pretraining(tmp_path):
    gains = {"random": 0.0, "short": 0.1, "short-both": 0.2, "long": 0.3, "long-both": 0.4}
    decoder, *_ = study(tmp_path, gains)
    assert [(one.arm, one.reference) for one in decoder.findings] == [("short-both", "short"), ("long-both", "long")]
    collection = collect(tmp_path)
    assert [arm.pretext for arm in collection.arms[1:]] == ["Models Genesis"] * 4
    pairs = [(pair.arm, pair.reference) for pair, _ in results(collection)[0].comparisons]
    assert pairs[4:] == [("short", "short-both"), ("long", "long-both"), ("short", "long")]


def test_checkpoints_from_elsewhere_are_told_apart(tmp_path):
    """Also in a record, where their paths are short of the folder."""
    gains = {"random": 0.0, "short": 0.1, "short-both": 0.2, "long": 0.3}
    study(tmp_path, gains)
    content = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    trials = json.loads((tmp_path / "trials.json").read_text(encoding="utf-8"))
    for name in ("short", "short-both", "long"):
        content["arms"][name] |= {"pretrain": None, "checkpoint": "./model.pt"}
    for trial in trials:
        trial["parts"] = {"data": {"checkpoint": str(trial["arm"]).removesuffix("-both")}}
    write_json(tmp_path / "study.json", content)
    assert len(results(collect(tmp_path))[0].comparisons) == 5  # all are of one file, as far as its name tells
    write_json(tmp_path / "trials.json", trials)
    pairs = [(pair.arm, pair.reference) for pair, _ in results(collect(tmp_path))[0].comparisons]
    assert pairs[3:] == [("short", "short-both"), ("short", "long")]


def test_a_decoder_that_is_sooner_there(tmp_path):
    for path in (tmp_path / "slow", tmp_path / "fast"):
        study(path, {"random": 0.0, "conrec": 0.1, "conrec-both": 0.1})
        for arm, rate in (("conrec", 80), ("conrec-both", 20 if path.name == "fast" else 160)):
            for seed in range(5):
                lines = [
                    {"step": 20 * e, "loss": 1, "validation_dice": 0.7 * (1 - 2.718 ** (-20 * e / (rate + 2 * seed)))}
                    for e in range(1, 21)
                ]
                text = "".join(json.dumps(line) + "\n" for line in lines)
                (path / f"finetune/{arm}-n5-s{seed}/metrics.jsonl").write_text(text)
        collection = collect(path)
        steps = claims(results(collection), collection.arms)[3]
        if path.name == "fast":
            assert steps.answer == "yes"
            assert steps.findings[0].interval[1] < -100
        else:
            assert steps.answer == "undecided"  # one that never comes to the level is no number
            assert "never came there" in steps.findings[0].verdict
            assert steps.findings[0].number == f"> {steps.findings[0].difference:+.0f}"
            assert f" at least {steps.findings[0].difference:+.0f} steps: undecided" in steps.findings[0].sentence


def test_page_results_and_tables_open_with_them(tmp_path):
    study(tmp_path / "s", ALL)
    report = write_report(tmp_path / "s", tmp_path / "page.html")
    text = report.page.read_text(encoding="utf-8")
    assert 0 < text.index('id="claims"') < text.index('id="answer"')
    assert "Does transferring the decoder add to the final dice?" in text
    rows = list(csv.DictReader((report.files / "claims.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["claim"] for row in rows] == ["1", "2", "2", "3", "4"]
    assert {row["margin"] for row in rows} == {"2.0", ""}
    for suffix in ("md", "tex"):
        assert "conrec-both" in (report.files / f"claims.{suffix}").read_text(encoding="utf-8")
    page = write_results_page([tmp_path / "s"], tmp_path / "page.md").read_text(encoding="utf-8")
    answer = "Does ConRec beat reconstruction? **Yes**: the only comparison says yes; margin 2"
    assert page.index(answer) < page.index("###")
