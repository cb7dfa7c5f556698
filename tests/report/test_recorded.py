"""A record is read as the study's folder that it was kept from: the same tables, sentences and problems."""

import json

import pytest

from segxfer3d.errors import InputError
from segxfer3d.files import digest
from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.results_page import write_results_page
from segxfer3d.report.run_tables import facts
from segxfer3d.study.keeping import keep
from segxfer3d.study.records import packed
from tests.report.made_studies import write_json, write_study

FEW = 200


def with_parts(folder, code=lambda trial: "1"):
    """Give made-up trials what a record needs of them."""
    trials = json.loads((folder / "trials.json").read_text(encoding="utf-8"))
    for trial in trials:
        trial["parts"] = {"config": "c", "knobs": {"id": trial["id"]}, "data": {}, "code_version": code(trial)}
        trial["identity"] = digest(trial["parts"])
        write_json(folder / trial["folder"] / "trial.json", trial)
    write_json(folder / "trials.json", trials)
    (folder / "pretrain/genesis/model.pt").write_bytes(b"weights")
    return trials


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "lungs", budgets=(5,), previews=False)
    with_parts(tmp_path / "lungs")
    keep(tmp_path / "lungs", tmp_path / "record")
    return tmp_path / "lungs"


def test_a_record_makes_the_same_page_and_tables(study, tmp_path):
    record = tmp_path / "record"
    first, second = (write_report(folder, tmp_path / f"{folder.name}.html") for folder in (study, record))
    assert first.answer == second.answer
    assert first.problems == second.problems == ()
    tables = sorted(path.name for path in first.files.iterdir())
    assert tables == sorted(path.name for path in second.files.iterdir())
    for name in tables:
        if not name.endswith(".pdf"):
            assert (first.files / name).read_bytes() == (second.files / name).read_bytes(), name
    names = [[run.name for run in collect(folder).runs] for folder in (study, record)]
    assert names[0] == names[1]
    assert [run.pretext for run in collect(record).runs] == [run.pretext for run in collect(study).runs]


def test_a_record_writes_a_section_that_names_itself(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, page in (("lungs", "a.md"), ("record", "b.md")):
        write_results_page([folder], page)
    first, second = (page.read_text(encoding="utf-8").split("\n") for page in (tmp_path / "a.md", tmp_path / "b.md"))
    differing = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    assert len(differing) == 2  # the title, the commands
    assert "`segxfer3d results record -o b.md` writes this section from that record." in differing[1][1]


def test_what_a_study_has_no_more_is_left_out_of_its_record(study, tmp_path):
    """An arm and a seed are taken out between two runs: the record makes what the folder does."""
    description = json.loads((study / "study.json").read_text(encoding="utf-8"))
    del description["arms"]["encoder+decoder"]
    write_json(study / "study.json", {**description, "seeds": [0, 1, 2, 3]})
    trials = json.loads((study / "trials.json").read_text(encoding="utf-8"))
    left = [trial for trial in trials if trial["arm"] != "encoder+decoder" and trial["seed"] != 4]
    write_json(study / "trials.json", left)
    kept = keep(study, tmp_path / "record")
    assert (kept.new, kept.there, len(kept.left)) == (0, 9, 7)
    assert kept.sentence().startswith(
        "note: 7 in the record are of no trial of the study any more: finetune/encoder+dec"
    )
    of_folder, of_record = (collect(folder) for folder in (study, tmp_path / "record"))
    assert [run.name for run in of_record.runs] == [run.name for run in of_folder.runs]
    assert [problem.what.split(",")[0] for problem in of_record.problems] == [
        "has no arm encoder+decoder: left out", "has no seed 4: left out",
    ]  # fmt: skip
    first, second = (
        [(pair.family, pair.p_holm, pair.interval) for result in results(found) for pair, _ in result.comparisons]
        for found in (of_folder, of_record)
    )
    assert first == second
    assert first[0][0] == 1


def test_a_pretraining_that_no_arm_starts_from_any_more_is_left_out(study, tmp_path):
    description = json.loads((study / "study.json").read_text(encoding="utf-8"))
    description["arms"] = {"random": description["arms"]["random"]}
    write_json(tmp_path / "record/study.json", description)
    found = collect(tmp_path / "record")
    assert {run.arm for run in found.runs} == {"random"}
    assert "has no arm that starts from genesis: left out" in found.problems[-1].what


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": "5"}, "folds: expected a whole number, got '5'"),
        ({"budgets": [{"name": "n5", "value": 5, "seeds": "all"}]}, r"budgets\[0\].seeds: expected a list, got 'all'"),
        ({"budgets": [{"name": "n5", "value": 5, "knobs": [1]}]}, r"budgets\[0\].knobs: expected an object, got \[1\]"),
        (
            {"arms": {"encoder": {"pretrain": ["genesis"]}}},
            r"arms.encoder.pretrain: expected text, got \['genesis'\]",
        ),
    ],
)
def test_an_edited_study_makes_no_section(changes, said, study, tmp_path):
    path = tmp_path / "record/study.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)
    with pytest.raises(InputError, match=rf"record: study\.json cannot be read \({said}\)"):
        write_results_page([tmp_path / "record"], tmp_path / "page.md")
    problems = write_report(tmp_path / "record", tmp_path / "page.html").problems
    assert any(problem.what.startswith("study.json cannot be read") for problem in problems)


def test_an_edited_record_makes_no_page(study, tmp_path):
    path = tmp_path / "record/finetune/random-n5-s0/cases.csv.gz"
    path.write_bytes(packed("case,patient,dice,iou\na,a,1.0,1.0\n"))
    with pytest.raises(InputError, match=r"cases\.csv was edited"):
        write_report(tmp_path / "record", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_several_code_versions_and_weights_that_differ_are_said(study, tmp_path):
    with_parts(study, lambda trial: "2" if trial["id"].endswith("s4") else "1")
    (study / "pretrain/genesis/model.pt").write_bytes(b"other weights")
    again = {"record": {"processor": "A", "parts": {"code_version": "1"}}, "same": False, "processor": "B"}
    write_json(study / "pretrain/genesis/again.json", {**again, "parts": {"code_version": "1"}})
    for path in (tmp_path / "record/finetune").glob("*-s4"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    keep(study, tmp_path / "record")
    for folder in (study, tmp_path / "record"):
        collection = collect(folder)
        assert ("code version of genesis_finetune", "1 (12 runs); 2 (3 runs)") in facts(collection)
        (problem,) = collection.problems
        assert "different weights" in problem.what or "the weights differ from the record's" in problem.what
    page = write_results_page([tmp_path / "record"], tmp_path / "page.md").read_text(encoding="utf-8")
    assert "Code versions of genesis_finetune: 1 (12 runs); 2 (3 runs)." in page
