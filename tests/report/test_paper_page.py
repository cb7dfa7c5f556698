"""The paper's tables as a page: what was found in each cell, what was published, and what was not run."""

import json
from pathlib import Path

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report.collect import collect
from segxfer3d.report.paper_page import write_paper_page
from segxfer3d.report.results import results
from segxfer3d.study.keeping import keep
from tests.report.made_studies import write_json, write_study
from tests.report.test_recorded import with_parts

PAGE = Path(__file__).parents[2] / "docs" / "results" / "paper.md"
VALUES = [
    {"arm": "random", "data": "nodules", "budget_name": "n5", "mean": 60.0, "std": 1.0},
    {"arm": "encoder", "data": "nodules", "budget_name": "n5", "mean": 70.5, "std": None},
    {"arm": "encoder", "data": "nodules", "budget_name": "n20", "mean": 75.0, "std": 0.5},
]


def write(folder, source="A paper, Table 5", **published):
    write_study(folder, budgets=(5,), previews=False)
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    write_json(folder / "study.json", study | {"published": {"source": source, "values": VALUES, **published}})
    return results(collect(folder))[0]


def cells(text, first):
    """The cells of the row that begins so, behind its first."""
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")][:1]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_cells_of_a_study_and_what_was_not_run(tmp_path):
    found = write(tmp_path / "small")
    text = write_paper_page(tmp_path / "paper.md", [tmp_path / "small"]).read_text(encoding="utf-8")
    section = text.split("### lungs")[1]
    data = found.data
    mean, std = found.arms[1].measures["dice"]
    assert "| arm | nodules, 5 labels | nodules, 20 labels |" in section
    assert cells(section, "encoder") == [f"{mean:.1f} ± {std:.1f} (70.5)", "not run (75.0 ± 0.5)"]
    assert cells(section, "encoder+decoder")[1] == "not run (–)"
    assert cells(section, "seeds") == ["5", "–"]
    pair, _ = found.against("encoder", "random")
    low, high = pair.interval
    row = f"| {data}, 5 labels | encoder | random | {pair.difference:+.1f} | {low:+.1f} to {high:+.1f} | +10.5 |"
    assert row in section
    assert "better" not in section
    assert "test images" not in section
    assert text.count("Not run here.") == 4  # Tables 2, 3, 4 and Figure 7
    assert cells(text, "voc_horse") == ["not run", "147"]
    assert "not run (83.3 ± 0.6)" in text.split("## Table 2")[1].split("## Table 3")[0]


def test_test_images_that_pretrained_are_said(tmp_path):
    write(tmp_path / "small")
    note = "warning: this checkpoint was trained on 9 of the 9 test images"
    for path in (tmp_path / "small" / "finetune").glob("encoder-*"):
        write_json(path / "transfer.json", {"notes": [note, "note: nothing of importance"]})
    text = write_paper_page(tmp_path / "paper.md", [tmp_path / "small"]).read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if "test images" in line]
    assert line.startswith("- encoder (")
    assert line.endswith("this checkpoint was trained on 9 of the 9 test images.")
    assert "importance" not in text


def test_records_beside_the_page_are_found(tmp_path):
    write(tmp_path / "study")
    with_parts(tmp_path / "study")
    keep(tmp_path / "study", tmp_path / "results" / "lungs")
    first = write_paper_page(tmp_path / "paper.md", [tmp_path / "study"]).read_text(encoding="utf-8")
    page = write_paper_page(tmp_path / "results" / "paper.md").read_text(encoding="utf-8")
    assert "Made by `segxfer3d paper study -o paper.md`; " in first
    assert "Made by `segxfer3d paper -o paper.md` from the records beside it; " in page
    assert page.split("## Table 1")[1] == first.split("## Table 1")[1]


def test_the_measure_of_the_table_is_shown(tmp_path):
    found = write(tmp_path / "study", source="A paper, Table 3", metric="genesis_dice")
    text = write_paper_page(tmp_path / "paper.md", [tmp_path / "study"]).read_text(encoding="utf-8")
    section = text.split("## Table 3")[1].split("## Table 4")[0]
    mean, std = found.arms[1].measures["genesis_dice"]
    assert cells(section, "encoder")[0] == f"{mean:.1f} ± {std:.1f} (70.5)"
    assert "| arm | nodules, 5 labels, genesis_dice | nodules, 20 labels, genesis_dice |" in section
    assert "| IoU |" in section
    assert "genesis_iou" in section
    assert cells(section.split("Differences of dice")[1], "nodules, 5 labels")[-1] == "–"  # of another measure


def test_a_cell_may_have_figures_of_several_measures(tmp_path):
    more = [{**VALUES[1], "metric": "genesis_iou", "mean": 76.9, "std": 0.5}]
    found = write(tmp_path / "study", source="A paper, Table 3", metric="genesis_dice", values=[*VALUES, *more])
    text = write_paper_page(tmp_path / "paper.md", [tmp_path / "study"]).read_text(encoding="utf-8")
    section = text.split("## Table 3")[1].split("## Table 4")[0]
    mean, std = found.arms[1].measures["genesis_iou"]
    assert "| nodules, 5 labels, genesis_iou |" in section
    assert f"{mean:.1f} ± {std:.1f} (76.9 ± 0.5)" in cells(section, "encoder")


def test_what_was_set_is_part_of_the_command(tmp_path):
    write(tmp_path / "study")
    path = tmp_path / "study" / "study.json"
    content = json.loads(path.read_text(encoding="utf-8")) | {"parameters": {"pretrain_epochs": 3, "dir": "/data/pets"}}
    path.write_text(json.dumps(content | {"study_file": "/elsewhere/mine.json"}), encoding="utf-8")
    text = write_paper_page(tmp_path / "paper.md", [path.parent]).read_text(encoding="utf-8")
    assert "Run by `segxfer3d study run mine.json --output lungs --set pretrain_epochs=3 --set dir=pets`." in text


def test_a_cka_matrix_beside_the_page(tmp_path):
    content = {"names": ["a", "b"], "cka": [[1, 0.25], [0.25, None]], "patches": 9, "patch_size": [8, 8], "cases": []}
    write_json(tmp_path / "figure7" / "cka.json", content)
    text = write_paper_page(tmp_path / "paper.md").read_text(encoding="utf-8")
    assert "![linear CKA](figure7/cka.svg)" in text
    assert (tmp_path / "figure7" / "cka.svg").is_file()
    assert cells(text, "b") == ["0.25", "–"]


def test_a_study_of_no_table_is_refused(tmp_path):
    write(tmp_path / "study", source="somewhere")
    with pytest.raises(InputError, match=r"the study lungs names no table of the paper; expected published\.source"):
        write_paper_page(tmp_path / "paper.md", [tmp_path / "study"])


@pytest.mark.slow
def test_the_committed_page_is_what_the_committed_records_make(tmp_path, monkeypatch):
    monkeypatch.chdir(PAGE.parents[2])
    before = PAGE.read_text(encoding="utf-8")
    write_paper_page("docs/results/paper.md")
    after = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(before, encoding="utf-8")
    assert after == before
