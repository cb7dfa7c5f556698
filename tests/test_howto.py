"""The how-to pages, done as they say: their files are made in a copy of the repository, and tested there.

A block of a page that is more than an illustration has the comment ``<!-- file: PATH -->`` before it: the block is a
new file. Nothing else is edited: what is new is found in its folder, and ``scripts/write_bundles.py`` writes the rest.
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
PAGES = sorted((ROOT / "docs").rglob("add_*.md"))
BLOCK = re.compile(r"<!-- file: (.+?) -->\n```\w+\n(.*?)```\n", re.DOTALL)
# besides the tests that the pages bring: what is asked of every data set, network, pretext and format
STANDING = [
    "tests/test_layering.py",
    "tests/data/layouts/test_contract.py",
    "tests/networks/test_contract.py",
    "tests/pretexts/test_contract.py",
    "tests/weights/formats/test_contract.py",
]
MANY = ["tests/networks/test_contract.py", "tests/pretexts/test_contract.py"]
ONLY_ADDED = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.nodeid.split("::")[0] not in MANY or any(n in item.name for n in ADDED)]
"""
ONE_AFTER_ANOTHER = """
import json, os, runpy, sys
import ignite.engine, monai.bundle, torch._dynamo, torch.utils.tensorboard
for file, words in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        sys.argv = words
        if words[0].endswith(".py"):
            runpy.run_path(words[0], run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        sys.exit()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        sys.exit(code)
"""
TINY = ["--generated_images", "20", "--image_size", "16", "--canvas_size", "20", "--width", "2", "--batch_size", "4"]
TINY += ["--max_epochs", "1", "--steps_per_epoch", "2", "--progress", "False", "--device", "cpu"]


def blocks(page):
    """(file, text) of every block that is to be done."""
    text = page.read_text(encoding="utf-8")
    files = BLOCK.findall(text)
    assert len(files) == len(re.findall(r"<!-- \w+:", text)), f"{page.name}: a comment without block"
    return files


def do(page, root):
    """Do what a page says; gives the test files that it brings."""
    for file, text in blocks(page):
        assert not (root / file).exists(), f"{page.name}: {file} is there already"
        (root / file).write_text(text, encoding="utf-8")
    return brought_tests(page)


def brought_tests(page):
    return [file for file, _ in blocks(page) if file.startswith("tests/")]


def python(root, *programs):
    """Run Python programs, each with its arguments, one after another in a copy of the repository; gives what each
    says. What all of them import is imported once: they are forked."""
    said = [root / f"said-{number}.txt" for number in range(len(programs))]
    result = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER, json.dumps([*zip(map(str, said), programs, strict=True)])],
        cwd=root,
        # what the pages add is not to be found in the caches; tiny trainings are quicker with one thread
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    texts = [path.read_text(encoding="utf-8") for path in said if path.is_file()]
    assert result.returncode == 0, "".join(texts)[-6000:] + result.stderr[-2000:]
    return texts


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A copy of the repository where all pages were done: its bundles written, its tests run, a new bundle trained.

    Gives the copy, and what the new bundle's help says.
    """
    root = tmp_path_factory.mktemp("copy")
    for name in ("segxfer3d", "bundles", "scripts", "tests", "docs"):
        # links stay links: the package finds its bundles by one
        shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (ROOT / "segxfer3d").rglob("__pycache__"):  # Numba's compiled code, which takes a minute to make
        (root / folder.relative_to(ROOT)).symlink_to(folder)
    shutil.copy(ROOT / "pyproject.toml", root)
    for page in PAGES:
        do(page, root)
    files = [file for page in PAGES for file in brought_tests(page)]
    # every network with every pretext takes minutes, and was tested here already: what the pages add is left
    added = [Path(file).stem.removeprefix("test_") for file in files]
    (root / "only_added.py").write_text(f"MANY, ADDED = {MANY!r}, {added!r}\n{ONLY_ADDED}", encoding="utf-8")
    tests = ["pytest", "-o", "addopts=--strict-markers", "--basetemp", "temporary", "-p", "only_added"]
    bundle = ["monai.bundle", "run", "--config_file", "bundles/rotation_pretrain.json"]
    *_, shown, _ = python(
        root,
        ["scripts/write_bundles.py"],
        [*tests, "--junitxml", "results.xml", *files, *STANDING],
        ["segxfer3d.cli", "run", "rotation_pretrain", "--help"],
        [*bundle, "--output_dir", "rotation", *TINY, "--turns", "2"],
    )
    return root, shown


@pytest.fixture(scope="module")
def outcome(done):
    """Test file to whether its tests passed, in the copy."""
    passed = {}
    for case in ElementTree.parse(done[0] / "results.xml").iter("testcase"):
        file = "/".join(case.get("classname").split(".")) + ".py"
        passed.setdefault(file, []).append(len(case) == 0)
    return passed


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_works(page, outcome):
    assert brought_tests(page)
    for file in brought_tests(page):
        assert outcome[file], file
        assert all(outcome[file]), file


@pytest.mark.slow
def test_what_stands_holds_for_the_new_things_too(outcome):
    for file in STANDING:
        assert outcome[file], file
        assert all(outcome[file]), file


@pytest.mark.slow
def test_a_new_pretext_is_a_bundle_that_trains(done):
    root, shown = done
    assert "turns" in shown
    assert json.loads((root / "rotation" / "run.json").read_text(encoding="utf-8"))["pretext"]["title"] == "Rotation"
    assert (root / "rotation" / "model.pt").is_file()


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
