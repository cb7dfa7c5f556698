"""A report on runs of before is what it was, word by word."""

from pathlib import Path

import pytest

from tests.report.older_runs import FOLDERS, text_of


@pytest.mark.parametrize("name", FOLDERS)
def test_pages_on_older_runs_say_what_they_said(tmp_path, name):
    before = (Path(__file__).parent / "older_pages" / f"{name}.txt").read_text(encoding="utf-8")
    assert text_of(name, tmp_path) == before
