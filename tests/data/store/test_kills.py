"""A program that dies at any moment of making a store: nothing that counts is wrong, and the next one goes on."""

import multiprocessing
import os
import shutil
import sys

import pytest

from segxfer3d.data.case import CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.cases import StoredCases
from segxfer3d.data.store.listing import clear_store, list_store
from segxfer3d.data.store.place import VolumeStore
from tests.data.store.test_cases import make, write_cases

fork = multiprocessing.get_context("fork")
MOMENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.utime", "shutil.rmtree")


@pytest.fixture(scope="module")
def case_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    return CaseSet(root, "folder", 3, tuple(write_cases(root, 1, classes=3)), {1: "a", 2: "b"})


@pytest.fixture(scope="module")
def stored(case_set):
    """The cases in the store of a folder."""
    identities = check(case_set, progress=False, identify=True).identities
    return lambda folder: StoredCases(VolumeStore(folder), case_set, VolumePreprocessing(), identities)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


def _die_at(moment, cases, of):
    """Make cases, and die where the file system is asked for something for the nth time."""
    left = [moment]

    def look(event, arguments):
        if event in MOMENTS and str(arguments[0]).startswith(str(cases.store.folder)):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

    sys.addaudithook(look)
    make(cases, of)
    os._exit(0)


@pytest.mark.parametrize("before", [pytest.param("empty", marks=pytest.mark.slow), "damaged"])
def test_every_moment_is_a_moment_to_die(before, case_set, stored, tmp_path):
    make(stored(tmp_path / "whole"), case_set.cases)
    whole = contents(tmp_path / "whole")
    start = tmp_path / "start"
    if before == "damaged":
        shutil.copytree(tmp_path / "whole", start)
        for path in (*start.glob("images/*/about.json"), *start.glob("labels/*/index.npy")):
            path.write_bytes(path.read_bytes()[:50])
    else:
        stored(start)
    died = 0
    for moment in range(200):
        folder = tmp_path / "s"
        shutil.copytree(start, folder)
        cases = stored(folder)
        program = fork.Process(target=_die_at, args=(moment, cases, case_set.cases))
        program.start()
        program.join(60)
        died += program.exitcode == 9
        list_store(folder)
        again = stored(folder)
        again.whole(case_set.cases[0])  # None, or what is there: nothing raises
        make(again, case_set.cases)
        left = contents(folder)
        assert {path: left[path] for path in whole} == whole, moment
        del cases, again
        if program.exitcode == 0:
            break
        shutil.rmtree(folder)
    assert program.exitcode == 0
    assert died == moment
    assert died > 15
    clear_store(folder)
    assert sorted(map(str, contents(folder))) == ["in-use.lock", "segxfer3d-store.json"]
