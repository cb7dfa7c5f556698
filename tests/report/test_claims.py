"""The paper's claims: every answer there is, made of a study's own comparisons."""

import csv
import json

import pytest

from segxfer3d.report.arms import Arm
from segxfer3d.report.claims import NOT_ASKED, claims
from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.results_page import write_results_page
from tests.report.made_studies import write_json, write_study

PRETEXTS = {
    "random": (None, "random"),
    "simclr": ("simclr", "encoder"),
    "rec": ("reconstruction", "encoder"),
    "conrec": ("conrec", "encoder"),
    "conrec-both": ("conrec", "encoder+decoder"),
}


def study(folder, gains, seeds=5, budgets=(5,), margin=None, **more):
    """A study of these arms, each with its pretext."""
    write_study(folder, seeds=seeds, budgets=budgets, arms=gains, previews=False, **more)
    content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    content["pretrain"] = {n: {"config": f"/b/{n}_pretrain.json"} for n, _ in PRETEXTS.values() if n}
    for name in gains:
        pretext, init = PRETEXTS[name]
        content["arms"][name] |= {"init": init, "pretrain": pretext}
    write_json(folder / "study.json", content | ({"margin": margin} if margin else {}))
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


def test_few_seeds_leave_it_open_and_say_what_would_decide(tmp_path):
    decoder, _, _, steps = study(tmp_path, ALL | {"conrec-both": 0.31}, seeds=2)
    assert decoder.answer == steps.answer == "undecided"
    assert decoder.findings[0].verdict == "no verdict; at least 3 seeds and 6 patients would give one"
    assert steps.findings[0].verdict == "no verdict; at least 3 seeds would give one"
    decoder, *_ = study(tmp_path / "more", {"random": 0.0, "conrec": 0.1, "conrec-both": 0.105})
    assert decoder.findings[0].verdict.startswith("undecided; ")
    assert "would find a difference of the margin" in decoder.findings[0].verdict


def test_what_a_study_does_not_ask(tmp_path):
    answers = study(tmp_path, {"random": 0.0, "simclr": 0.1})
    assert [claim.answer for claim in answers] == [NOT_ASKED] * 4
    assert answers[0].why == "it takes the arms encoder and encoder+decoder of one pretext"


def test_what_is_asked_and_not_run_yet_is_undecided():
    pretexts = ("ConRec", "ConRec", "SimCLR")
    inits, scenarios = ("encoder", "encoder+decoder", "encoder"), ("4", "3", "2")
    arms = [Arm(*each) for each in zip("abc", inits, pretexts, scenarios, strict=True)]
    answers = claims([], arms)
    assert [claim.answer for claim in answers] == ["undecided", "undecided", NOT_ASKED, "undecided"]
    assert "not done" in answers[0].why


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
