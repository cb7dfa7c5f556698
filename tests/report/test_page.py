"""The page: everything in one file, nothing from elsewhere, nothing from the data that could act, small, repeatable."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from segxfer3d.cli import cli
from segxfer3d.errors import InputError
from segxfer3d.report import viewer
from segxfer3d.report.collect import collect
from segxfer3d.report.figures.study import file_name
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.run_files import Problem
from segxfer3d.report.run_tables import settings_table
from segxfer3d.spreadsheets import scores_hash
from tests.report.made_studies import NASTY, write_ball_previews, write_json, write_run, write_study


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text, self._inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report of a study in which every name tries something, with a failed run, a damaged one and a CKA."""
    folder = tmp_path_factory.mktemp("study")
    names = [NASTY, "$\\frac{$", *(f"case{i}" for i in range(10))]
    write_study(folder, seeds=3, budgets=(5,), case_names=names)
    failed = folder / "finetune/random-n5-s2"
    (failed / "done.json").unlink()
    write_json(failed / "failed.json", {"error": f"{NASTY}\nout of memory", "returncode": 1, "seconds": 2})
    (folder / "finetune/encoder-n5-s2/cases.csv").write_text(f"case,patient,dice,iou\n{NASTY},p,{NASTY},0\n")
    (folder / "finetune/encoder-n5-s0/previews.npz").write_bytes(b"no archive")
    write_json(folder / "cka/cka.json", {"names": ["random", NASTY], "cka": [[1, None], [None, 1]], "layer": "x"})
    write_json(folder / "bad/cka.json", {"names": ["random"], "cka": "no"})
    return folder, write_report(folder, folder.parent / "r&d.html")


def test_the_page_is_whole_and_asks_for_nothing(written):
    _, report = written
    text = report.page.read_text(encoding="utf-8")
    elements = Elements(text).found
    assert {tag for tag, _ in elements} >= {"h1", "table", "figure", "canvas", "dl", "pre"}
    for tag, attributes in elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        if "src" in attributes:
            assert attributes["src"].startswith("data:image/")
        if "href" in attributes:
            assert attributes["href"].startswith("#")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    policy = next(a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    outside = re.sub(r"data:[a-z/+]+;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", outside)
    assert len(text) < 2_000_000


def test_names_from_data_are_text(written):
    _, report = written
    text = report.page.read_text(encoding="utf-8")
    elements = Elements(text)
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "viewer-data"}, {}]
    assert "alert(1)" in "".join(elements.text)
    assert NASTY not in text


def test_failures_and_damage_are_on_the_page(written):
    _, report = written
    text = "".join(Elements(report.page.read_text(encoding="utf-8")).text)
    assert "finetune/random-n5-s2 failed" in text
    assert "out of memory" in text
    where = [problem.where for problem in report.problems]
    assert where == ["finetune/encoder-n5-s2", "finetune/encoder-n5-s0", "bad/cka.json"]
    assert all(isinstance(problem, Problem) and problem.where in text for problem in report.problems)
    assert report.answer in " ".join(text.split()).replace("−", "-")


def test_tables_and_figures_are_beside_it(written):
    _, report = written
    names = {path.name for path in report.files.iterdir()}
    assert report.files.name == "r&d_files"
    for figure in ("differences", "dice_over_labels", "patients", "dice_over_steps", "cka-cka"):
        assert f"{figure}.svg" in names
    assert "masks-5-labeled-patients.jpg" in names
    assert not any(name.endswith(".pdf") for name in names)
    assert {"scores.csv", "scores.md", "scores.tex", "comparisons.csv", "methods.md"} <= names
    assert "[1]" in (report.files / "methods.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_files_give_the_same_page(written):
    folder, report = written
    before = {path.name: path.read_bytes() for path in (report.page, *report.files.iterdir())}
    again = write_report(folder, report.page)
    assert {path.name: path.read_bytes() for path in (again.page, *again.files.iterdir())} == before


def test_volumes_beyond_the_limit_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(viewer, "LIMIT", 20_000)
    write_ball_previews(tmp_path, write_run(tmp_path))
    problems = []
    shown, left_out = viewer.volumes(results(collect(tmp_path)), problems)
    assert problems == []
    assert shown
    assert len(shown) + left_out == 3
    assert sum(len(volume["image"]) + len(volume["masks"]) for volume in shown) <= 20_000


def test_an_unfinished_study_has_a_page(tmp_path):
    write_study(tmp_path / "s", seeds=0, previews=False)
    report = write_report(tmp_path / "s", tmp_path / "page.html")
    assert report.answer == "No answer yet: no fine-tuning is done."
    assert "viewer-data" not in report.page.read_text(encoding="utf-8")


def test_where_it_cannot_be_written_is_said(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.html"):
        write_report(tmp_path, tmp_path / "page.pdf")
    (tmp_path / "file").write_text("")
    write_run(tmp_path / "run")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path, tmp_path / "file" / "page.html")


@pytest.mark.parametrize(("title", "name"), [("pets, 1 %", "pets-1-percent"), ("../../x", "x"), ("<>", "figure")])
def test_figures_have_plain_names(title, name):
    assert file_name(title) == name


@pytest.mark.slow
def test_all_figures_are_drawn_where_they_are_asked_for(tmp_path):
    write_study(tmp_path / "s", seeds=2, cases=4)
    for more, files in ([], 0), (["--all-figures"], 6):
        done = CliRunner().invoke(cli, ["report", str(tmp_path / "s"), "-o", str(tmp_path / f"{files}.html"), *more])
        assert done.exit_code == 0, done.output
        assert len(list((tmp_path / f"{files}_files").glob("*.pdf"))) == files
        assert len(list((tmp_path / f"{files}_files").glob("masks-*.jpg"))) == (2 if files else 1)


def test_the_command_asks_for_equivalence_with_a_margin(tmp_path):
    write_study(tmp_path / "s", budgets=(5,), previews=False)
    page = tmp_path / "page.html"
    for more, found in ([], False), (["--margin", "20"], True):
        result = CliRunner().invoke(cli, ["report", str(tmp_path / "s"), "-o", str(page), *more])
        assert result.exit_code == 0, result.output
        assert ("is equivalent to" in page.read_text(encoding="utf-8")) == found


def test_lesions_have_a_table_where_all_runs_of_an_arm_measured_them(tmp_path):
    folder = tmp_path / "s"
    write_study(folder, budgets=(5,), previews=False)
    for place in folder.glob("finetune/random-*"):
        summary = json.loads((place / "cases_summary.json").read_text(encoding="utf-8"))
        found = {"lesion_sensitivity": 0.75, "false_positives_per_scan": 0.5, "lesion_f1": None}
        write_json(place / "cases_summary.json", summary | found)
    report = write_report(folder, tmp_path / "page.html")
    text = report.page.read_text(encoding="utf-8")
    assert "Lesions: connected components" in text
    table = (report.files / "lesions.md").read_text(encoding="utf-8")
    assert "| random | 75.0 ± 0.0 (75.0 to 75.0) | 0.5 ± 0.0 (0.5 to 0.5) | – |" in table
    assert "encoder" not in table
    assert "lesion_sensitivity_std" in (report.files / "lesions.csv").read_text(encoding="utf-8")


def rewrite(path, change):
    """The rows of a cases.csv, changed."""
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    rows = [change(row) for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_every_measure_has_its_interval_and_one_that_a_run_lacks_has_none(tmp_path):
    folder = tmp_path / "s"
    write_study(folder, seeds=3, budgets=(5,), previews=False)
    for place in folder.glob("finetune/*"):
        lacks = place.name == "encoder-n5-s1"
        both = {} if lacks else {"dice_core": "0.5", "iou_core": "0.25"}
        rewrite(place / "cases.csv", lambda row, both=both: {**row, **both})
        summary = json.loads((place / "cases_summary.json").read_text(encoding="utf-8"))
        found = {"lesion_f1": 0.5 + 0.1 * int(place.name[-1])} if not lacks else {}
        write_json(place / "cases_summary.json", summary | found)
    report = write_report(folder, tmp_path / "page.html")
    (result,) = results(collect(folder))
    random, encoder = result.arms[0], result.arms[1]
    assert random.intervals["iou"][0] < random.measures["iou"][0] < random.intervals["iou"][1]
    assert random.intervals["lesion_f1"] == pytest.approx((35.16, 84.84), abs=0.01)  # 60 -+ 4.3027 x 10 / sqrt(3)
    assert "dice_core" not in random.intervals  # another arm's run lacks it: they are not paired on it
    assert random.measures["dice_core"] == (50.0, 0.0)
    assert "dice_core" not in encoder.measures
    assert encoder.lesions == {}
    row = next(csv.DictReader((report.files / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert float(row["iou_low"]) == random.intervals["iou"][0]
    assert "(35.2 to 84.8)" in (report.files / "lesions.md").read_text(encoding="utf-8")


def test_one_patient_has_no_interval_anywhere(tmp_path):
    write_study(tmp_path / "s", seeds=3, budgets=(5,), cases=1, previews=False)
    report = write_report(tmp_path / "s", tmp_path / "page.html")
    (result,) = results(collect(tmp_path / "s"))
    assert {arm.interval for arm in result.arms} == {None}
    assert {pair.interval for pair, _ in result.comparisons} == {None}
    assert {verdict.kind for _, verdict in result.comparisons} == {"no verdict"}
    assert "1 patient, at least 6 needed" in report.page.read_text(encoding="utf-8")


def test_scores_that_were_edited_since_the_run_ended_are_left_out(tmp_path):
    write_study(tmp_path / "s", seeds=3, budgets=(5,), previews=False)
    for place in (tmp_path / "s").glob("finetune/*"):
        text = (place / "cases.csv").read_text(encoding="utf-8")
        known = scores_hash(text)
        (place / "cases.csv").write_text("\ufeff" + text, encoding="utf-8")  # a spreadsheet saved it again
        write_json(place / "done.json", {"seconds": 1.0, "cases": known})
    assert collect(tmp_path / "s").problems == ()
    rewrite(tmp_path / "s/finetune/encoder-n5-s1/cases.csv", lambda row: {**row, "dice": "0.99"})
    (problem,) = collect(tmp_path / "s").problems
    assert problem.where == "finetune/encoder-n5-s1"
    assert "cases.csv was edited since the run ended (its hash is " in problem.what


def test_the_settings_of_each_arm_are_on_the_page(tmp_path):
    folder = tmp_path / "s"
    write_study(folder, seeds=2, budgets=(5,), previews=False)
    content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    content["arms"]["encoder"]["knobs"] = {"lr": 0.001}
    write_json(folder / "study.json", content)
    for seed in range(2):
        write_run(folder / f"finetune/encoder-n5-s{seed}", init="encoder", seed=seed, gain=0.08, knobs={"lr": 0.001})
    table = settings_table(collect(folder))
    assert table["learning rate"] == ["0.003", "0.001", "0.003"]
    assert table["set for it alone"] == ["–", "lr 0.001", "–"]
    assert table["epochs x steps"] == ["10 x 20"] * 3
    assert "How each arm was fine-tuned" in write_report(folder, tmp_path / "p.html").page.read_text(encoding="utf-8")
