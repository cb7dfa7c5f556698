"""Listing and clearing a store, also while a training uses it."""

import shutil
import threading

import numpy as np
import pytest

from segxfer3d.data.store import listing
from segxfer3d.data.store.listing import clear_store, list_store
from segxfer3d.data.store.place import VolumeStore
from segxfer3d.errors import InputError

FROM = {"preprocessing": {"intensity": "window", "spacing": None}}


def write(store, key):
    store.write("images", key, {"image": np.zeros(100)}, {"data": "CTs"}, made_from=FROM)


def test_it_is_listed_while_others_write_and_remove(tmp_path):
    store = VolumeStore(tmp_path / "s")
    write(store, "stays")
    end = threading.Event()

    def work():
        while not end.is_set():
            write(store, "comes and goes")
            shutil.rmtree(store.path("images", "comes and goes"))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(200):
            assert max(each.images for each in list_store(tmp_path / "s").sets) >= 1
    finally:
        end.set()
        worker.join()
    with pytest.raises(InputError, match=r"store .*/s: another program uses it; clear it when that has ended"):
        clear_store(tmp_path / "s")
    with pytest.raises(InputError, match="another program uses it"):
        clear_store(tmp_path / "s", unused_days=30)
    assert store.path("images", "stays").exists()


def test_what_is_half_written_or_damaged_is_counted_and_cleared(tmp_path):
    store = VolumeStore(tmp_path / "s")
    for key in ("whole", "damaged", "empty"):
        write(store, key)
    (store.path("images", "damaged") / "about.json").write_text("[]")
    shutil.rmtree(store.path("images", "empty"))
    (tmp_path / "s" / "images" / ".part-0123").mkdir()
    (tmp_path / "s" / "images" / ".DS_Store").write_text("a Mac's")
    texts = [each.text() for each in list_store(tmp_path / "s").sets]
    assert any(text.startswith("CTs: 1 images, 0 labels") for text in texts)
    assert any(text.startswith("damaged or half written: 2 entries") for text in texts)
    del store
    assert clear_store(tmp_path / "s") > 1600
    assert [path.name for path in (tmp_path / "s" / "images").iterdir()] == [".DS_Store"]


def test_what_cannot_be_removed_is_not_said_to_be(tmp_path, monkeypatch):
    store = VolumeStore(tmp_path / "s")
    write(store, "one")
    del store
    monkeypatch.setattr(listing.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"1 volumes cannot be removed; expected a folder that can be written"):
        clear_store(tmp_path / "s")
