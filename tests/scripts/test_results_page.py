"""The sections of a page of results, from made-up studies."""

import pytest

from scripts.results_page import main
from tests.report.made_studies import write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "nodules"
    write_study(folder, budgets=(5,), previews=False)
    return folder


def test_a_section_is_written_anew_and_the_rest_stays(study, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Results\n\nIn words.\n", encoding="utf-8")
    assert main([str(study), "--page", str(page)]) == 0
    first = page.read_text(encoding="utf-8")
    assert first.startswith("# Results\n\nIn words.\n")
    assert "### 5 labeled patients" in first
    assert "is better than random" in first
    assert "| encoder+decoder |" in first
    assert main([str(study), "--page", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == first
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert len(drawn) == 2
    assert all(f"]({name})" in first for name in drawn)


def test_settings_are_chosen_by_the_validation_part_alone(study, tmp_path):
    page = tmp_path / "page.md"
    assert main([str(study), "--page", str(page), "--validation"]) == 0
    assert "Dice on the validation part" in page.read_text(encoding="utf-8")
    assert "interval" not in page.read_text(encoding="utf-8")


def test_a_folder_without_runs(tmp_path, capsys):
    assert main([str(tmp_path), "--page", str(tmp_path / "page.md")]) == 1
    assert "no run in it" in capsys.readouterr().err
