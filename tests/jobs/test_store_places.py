"""Where volumes may be stored: in a folder of their own with room enough, which is looked at before any work."""

import errno
import json
import logging
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from segxfer3d.config.options import Options
from segxfer3d.config.store import Store
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.jobs import holding
from tests.jobs.test_store import data, entries, on_disk, pytestmark, run

__all__ = ["data", "on_disk", "pytestmark"]


def test_a_disk_that_fills_up_while_volumes_are_stored(data, tmp_path, on_disk, monkeypatch):
    save, written = np.save, []

    def full(file, array, **options):
        written.append(array)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(file, array, **options)

    store = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(
            InputError, match=r"could not be saved \(.*No space left on device\); --store DIR puts it on"
        ):
            run("genesis_pretrain", tmp_path / "r", data, store=str(store))
    assert len(entries(store)) == len([*(store / "images").iterdir()]) == 2
    assert not (tmp_path / "r").exists()


def test_few_volumes_stay_in_memory_and_a_folder_for_them_is_looked_at(data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    store = tmp_path / "new" / "store"
    run("genesis_pretrain", tmp_path / "r", data, store=str(store), max_epochs=1)
    assert not store.parent.exists()
    said = re.search(r"(\d+) volumes are held in memory \((\S+) MB\); nothing is stored in (.*)", caplog.text)
    split = json.loads((tmp_path / "r" / "split.json").read_text())
    held = [name for part in ("pretrain", "validation") for name in split[part]]
    assert (int(said[1]), said[3]) == (len(held), str(store))
    assert float(said[2]) == round(sum(4 * (22 + int(name[1:])) * 24 * 18 for name in held) / 1e6, 2)


def test_a_folder_that_cannot_be_a_store_is_refused_for_evaluation_too(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    source = SimpleNamespace(preprocessing=VolumePreprocessing())
    for place, message in ((tmp_path, "holds thesis.txt"), (tmp_path / "thesis.txt", "is a file; expected a folder")):
        with pytest.raises(InputError, match=f"store {place}: .*{message}"):
            holding.stored_before(Options("evaluate", [Store(store=str(place))]), source)
    assert holding.stored_before(Options("evaluate", [Store(store=str(tmp_path / "new"))]), source) is None
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", r"store .*/file: .*/file is a file; expected a folder"),
        ("file/inner", r"store .*/file/inner: .*/file is a file; expected a folder"),
        ("full", r"store .*/full: holds thesis\.txt; expected a new or empty folder, or a store of volumes"),
        ("/proc/nope", r"store /proc/nope: cannot be written \(.*\); --store DIR puts it on another disk"),
    ],
)
def test_a_folder_that_cannot_be_a_store_is_refused_for_few_volumes_too(name, message, data, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=message):
        run("genesis_pretrain", tmp_path / "r", data, store=str(tmp_path / name), max_epochs=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "thesis.txt"]


def test_a_folder_of_something_else_is_refused(data, tmp_path, on_disk):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"store .*mine: holds thesis\.txt; expected a new or empty folder"):
        run("genesis_pretrain", tmp_path / "r", data, store=str(tmp_path / "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "r").exists()


def test_a_full_disk_is_named_before_any_work(data, tmp_path, on_disk, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**28))
    with pytest.raises(
        InputError, match=r"store .*full: \S+ MB are needed, 0\.25 GiB are free; --store DIR puts it on another disk$"
    ):
        run("genesis_pretrain", tmp_path / "r", data, store=str(tmp_path / "full"))
    assert not (tmp_path / "full").exists()
    assert not (tmp_path / "r").exists()
