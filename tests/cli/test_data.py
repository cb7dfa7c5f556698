"""The commands that prepare data, on small files; what they write is tested with the functions that they call."""

import json
import os
import re

import numpy as np
import pytest

from segxfer3d.cli import cli
from segxfer3d.data.case import CaseSet
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.place import VARIABLE, VolumeStore
from tests.cli.test_cli import call
from tests.data.cubes.test_store import cases_in
from tests.data.lidc.test_luna16 import write_luna
from tests.data.store.test_cases import make, stored, write_cases
from tests.data.volumes import write_nifti


def every_command(command=cli, words=()):
    """All commands with the words that call them."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, (*words, name))


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_help_fits_80_columns_and_leaves_no_sentence_open(words):
    status, said = call(*words, "--help")
    assert status == 0
    assert max(map(len, said.splitlines())) <= 80
    listed = re.split(r"^Commands:", said, maxsplit=1, flags=re.MULTILINE)[1:]
    assert not any(line.endswith("...") for text in listed for line in text.splitlines())


def test_luna16_cuts_nodules_and_names_what_cannot_be_used(tmp_path):
    luna, xml = write_luna(tmp_path)
    words = ["data", "luna16", "--luna-dir", luna, "--xml-dir", xml, "--output-dir", tmp_path / "out"]
    size = ["--cube-size", 16, 16, 8]
    assert call(*words, *size) == (0, f"{tmp_path / 'out'}: 3 nodules of 3 patients; could not be used: 0\n")
    volume = next(luna.glob("subset0/*.mhd"))
    volume.write_bytes(b"no header")
    words[-1] = tmp_path / "other"
    status, said = call(*words, *size, "--min-readers", 2)
    assert status == 1
    assert f"cannot be used: {volume.stem}: " in said
    assert "could not be used: 1" in said
    status, said = call(*words, "--min-readers", 0)
    assert (status, "0 is not in the range" in said) == (1, True)
    words[5] = tmp_path / "nowhere"
    status, said = call(*words)
    assert (status, "nowhere: no such folder" in said) == (1, True)


def test_cubes_are_cut_and_what_is_left_out_is_said(tmp_path):
    (tmp_path / "data").mkdir()
    cases_in(tmp_path / "data", range(2))
    (tmp_path / "data" / "broken.nii.gz").write_bytes(b"no volume")
    words = ["data", "cubes", "--dataset-dir", tmp_path / "data", "--output-dir", tmp_path / "store"]
    words += ["--cube-size", 8, 8, 6, "--cubes-per-volume", 3, "--crop-rule", "uniform"]
    status, said = call(*words, "--window-low", -1000, "--spacing", 0.7, 0.8, 2, "--intensity", "window")
    assert status == 0, said
    assert "left out: broken: " in said
    assert f"{tmp_path / 'store'}: 6 cubes of 2 volumes; left out: 1 that could not be read" in said
    status, said = call(*words)
    assert (status, "exists already" in said) == (1, True)


def test_cases_that_are_large_enough_are_listed(tmp_path):
    for name, slices in (("p1", 4), ("p2", 9)):
        image = np.zeros((8, 8, slices), np.int16)
        write_nifti(tmp_path / "data" / "images" / f"{name}.nii.gz", image)
        write_nifti(tmp_path / "data" / "labels" / f"{name}.nii.gz", (image == 0).astype(np.uint8))
    words = ["data", "list", "--dataset-dir", tmp_path / "data", "--output-dir", tmp_path / "cases"]
    path = tmp_path / "cases" / "dataset.json"
    assert call(*words, "--min-slices", 8) == (0, f"{path}: 1 of 2 labeled cases, 0 scans more\n")
    assert len(json.loads(path.read_text(encoding="utf-8"))["training"]) == 1
    status, said = call(*words, "--min-slices", 10)
    assert (status, "none of 2 labeled cases has 10 slices" in said) == (1, True)
    status, said = call(*words, "--extra-dir", tmp_path / "data" / "labels")
    assert (status, "no CT in it" in said) == (1, True)


def test_what_is_stored_is_listed_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "usual"))
    assert call("data", "store") == (0, f"{tmp_path / 'usual'}: nothing is stored\n")
    case_set = CaseSet(tmp_path, "folder", 3, tuple(write_cases(tmp_path, 2)), {1: "a", 2: "b", 3: "c"})
    for preprocessing in (VolumePreprocessing(), VolumePreprocessing((2.0, 2.0, 3.5), (Scale("percentile"),))):
        cases = stored(tmp_path / "usual", case_set, preprocessing)
        make(cases, case_set.cases)
        del cases
    status, said = call("data", "store")
    assert status == 0
    lines = said.splitlines()
    assert re.match(r"\d\.\d\d MB, \d+\.\d\d GiB free", lines[0].removeprefix(f"{tmp_path / 'usual'}: "))
    assert len(lines) == 3
    assert re.search(rf"{tmp_path.name}: 2 images, 2 labels, \d\.\d\d MB, used today \(", lines[1])
    assert any("spacing 2x2x3.5" in line for line in lines)
    old = next((tmp_path / "usual" / "images").iterdir()) / "about.json"
    os.utime(old, (0, 0))
    (tmp_path / "usual" / "mine.txt").write_text("mine")
    status, said = call("data", "store", tmp_path / "usual", "--clear", "--unused-days", 30)
    assert status == 0
    assert len([*(tmp_path / "usual").glob("images/*")]) == 3
    in_use = VolumeStore(tmp_path / "usual")
    status, said = call("data", "store", "--clear")
    assert (status, "another program uses it" in said) == (1, True)
    del in_use
    assert call("data", "store", "--clear")[0] == 0
    left = sorted(path.name for path in (tmp_path / "usual").rglob("*") if path.is_file())
    assert left == ["in-use.lock", "mine.txt", "segxfer3d-store.json"]


def test_what_is_no_store_is_neither_listed_nor_cleared(tmp_path):
    (tmp_path / "images").mkdir()
    for words in ([], ["--clear"]):
        status, said = call("data", "store", tmp_path, *words)
        assert (status, "no store of preprocessed volumes" in said) == (1, True)
    assert (tmp_path / "images").is_dir()
    status, said = call("data", "store", tmp_path, "--unused-days", 3)
    assert (status, "says what --clear removes" in said) == (1, True)
