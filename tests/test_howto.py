"""The how-to pages, done as they say: their files and edits are made in a copy of the repository, and tested there.

A block of a page that is more than an illustration has a comment before it:

* ``<!-- file: PATH -->``: the block is a new file;
* ``<!-- edit: PATH -->``: a diff without line numbers, whose old lines stand in the file exactly once;
* ``<!-- bundle: PATH from OTHER without KNOB -->``: a copy of a bundle with the entries of the block changed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("add_*.md"))
BLOCK = re.compile(r"<!-- (file|edit|bundle): (.+?) -->\n```\w+\n(.*?)```\n", re.DOTALL)
# besides the tests that the pages bring: what already asks something of every data set, network and pretext
STANDING = [
    "tests/test_layering.py",
    "tests/data/layouts/test_contract.py",
    "tests/networks/test_contract.py",
    "tests/weights/formats/test_contract.py",
]
OF_A_BUNDLE = "tests/jobs/test_images.py"


def blocks(page):
    """(kind, what, text) of every block that is to be done."""
    text = page.read_text(encoding="utf-8")
    found = BLOCK.findall(text)
    assert len(found) == len(re.findall(r"<!-- (?:file|edit|bundle):", text)), f"{page.name}: a comment without block"
    return found


def do(page, root):
    """Do what a page says; gives the test files that it brings."""
    for kind, what, text in blocks(page):
        path = root / what.split()[0]
        if kind == "file":
            assert not path.exists(), f"{page.name}: {what} is there already"
            path.write_text(text, encoding="utf-8")
        elif kind == "edit":
            old = "".join(line[1:] for line in text.splitlines(keepends=True) if line[0] in " -")
            new = "".join(line[1:] for line in text.splitlines(keepends=True) if line[0] in " +")
            content = path.read_text(encoding="utf-8")
            assert content.count(old) == 1, f"{page.name}: {what} has not exactly one place with\n{old}"
            path.write_text(content.replace(old, new), encoding="utf-8")
        else:
            other, knob = re.fullmatch(r"\S+ from (\S+) without (\S+)", what).groups()
            config = json.loads((root / other).read_text(encoding="utf-8")) | json.loads(text)
            del config[knob], config["knobs"][knob]
            path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return [what for kind, what, _ in blocks(page) if kind == "file" and what.startswith("tests/")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Test file to (passed, other) in a copy where all pages were done."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("segxfer3d", "bundles", "scripts", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (ROOT / "segxfer3d").rglob("__pycache__"):  # Numba's compiled code, which takes a minute to make
        (root / folder.relative_to(ROOT)).symlink_to(folder)
    shutil.copy(ROOT / "pyproject.toml", root)
    files = [file for page in PAGES for file in do(page, root)]
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers", "--junitxml", "results.xml"]
    command += ["--basetemp", str(root / "temporary")]
    chosen = [f"{OF_A_BUNDLE}::test_standard_ids_are_all_there[rotation_pretrain]",
              f"{OF_A_BUNDLE}::test_what_pretraining_bundles_share_is_the_same_in_all"]  # fmt: skip
    result = subprocess.run(
        [*command, *files, *STANDING, *chosen],
        cwd=root,
        # what the pages add is not to be found in the caches; tiny trainings are quicker with one thread
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    found = {}
    for case in ElementTree.parse(root / "results.xml").iter("testcase"):
        file = "/".join(case.get("classname").split(".")) + ".py"
        found.setdefault(file, []).append(len(case) == 0)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_works(page, outcome):
    files = [what for kind, what, _ in blocks(page) if kind == "file" and what.startswith("tests/")]
    assert files
    assert all(outcome[file] and all(outcome[file]) for file in files)


def test_what_stands_holds_for_the_new_things_too(outcome):
    for file in [*STANDING, OF_A_BUNDLE]:
        assert outcome[file], file
        assert all(outcome[file]), file


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
