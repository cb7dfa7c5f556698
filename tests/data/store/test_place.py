"""The folder of a store: begun by several programs at once, refused where it is another's, read where that is all."""

import errno
import gc
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from segxfer3d import files
from segxfer3d.data.store.place import IN_USE, MARK, VARIABLE, VolumeStore, is_store, usual_folder
from segxfer3d.errors import InputError

fork = multiprocessing.get_context("fork")
ROUNDS, PROGRAMS = 25, 4


def _begin(root, begin):
    for number in range(ROUNDS):
        begin.wait(60)
        VolumeStore(root / str(number))


def test_several_programs_begin_one_store_at_once(tmp_path):
    begin = fork.Barrier(PROGRAMS)
    programs = [fork.Process(target=_begin, args=(tmp_path, begin)) for _ in range(PROGRAMS)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(120)
    assert [program.exitcode for program in programs] == [0] * PROGRAMS
    for number in range(ROUNDS):
        assert {path.name for path in (tmp_path / str(number)).iterdir()} == {MARK, IN_USE}


@pytest.mark.parametrize("name", ["my volumes", "Bände äöü 体積", "a'b\"c"])
def test_any_name_is_a_folder(name, tmp_path):
    store = VolumeStore(tmp_path / name)
    store.write("images", "k", {"image": np.arange(4)}, {}, made_from={})
    assert is_store(tmp_path / name)
    assert pickle.loads(pickle.dumps(store)).folder == store.folder


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": "other"}', b"\xff\xfe"])
def test_a_damaged_mark_is_named_and_nothing_touched(content, tmp_path):
    VolumeStore(tmp_path / "s")
    (tmp_path / "s" / MARK).write_bytes(content)
    with pytest.raises(InputError, match=rf"store .*/s: {MARK} is damaged; remove the folder, or use another one"):
        VolumeStore(tmp_path / "s")
    assert (tmp_path / "s" / MARK).read_bytes() == content
    assert VolumeStore.found(tmp_path / "s") is None


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(InputError, match=r"/s cannot be written \(expected a folder, found a file"):
        VolumeStore(tmp_path / "s")
    assert VolumeStore.found(tmp_path / "s") is None


def read_only(monkeypatch):
    """A disk that can be read only, for whoever runs the tests."""
    real = os.open

    def refuse(path, flags, *rest, **options):
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *rest, **options)

    def mkdir(self, *rest, exist_ok=False, **options):
        if not (exist_ok and self.is_dir()):
            raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    monkeypatch.setattr(os, "mkdir", lambda path, *_, **__: refuse(path, os.O_CREAT))
    monkeypatch.setattr(Path, "mkdir", mkdir)


def test_a_store_that_can_only_be_read_is_read(tmp_path, monkeypatch):
    VolumeStore(tmp_path / "s")
    (tmp_path / "empty").mkdir()
    read_only(monkeypatch)
    store = VolumeStore(tmp_path / "s")
    with (
        pytest.raises(InputError, match=r"locks cannot be written \(\[Errno 30\].*\); --store DIR puts it on another"),
        store.making("k"),
    ):
        pytest.fail("it has the right to make something")
    assert files.Lock.take(tmp_path / "s" / IN_USE, shared=True) is not None
    with pytest.raises(InputError, match=r"store .*/empty: cannot be written \(\[Errno 30\].*\); --store DIR puts it"):
        VolumeStore(tmp_path / "empty")


def test_one_that_is_being_cleared_is_not_used(tmp_path):
    VolumeStore(tmp_path / "s")
    lock = files.Lock.take(tmp_path / "s" / IN_USE)
    with pytest.raises(InputError, match=r"store .*/s: is being cleared; try again"):
        VolumeStore(tmp_path / "s")
    assert VolumeStore.found(tmp_path / "s") is None  # an evaluation reads the files instead
    lock.release()
    assert VolumeStore.found(tmp_path / "s") is not None


def test_the_usual_folder_is_the_user_s_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert usual_folder() == tmp_path / "segxfer3d" / "volumes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert usual_folder().is_relative_to(tmp_path / "me")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert usual_folder() == tmp_path / "mine"


def test_without_a_home_it_is_asked_for(monkeypatch):
    def nobody(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(InputError, match=r"no home folder is known; --store DIR or the variable SEGXFER3D_STORE"):
        usual_folder()
    assert VolumeStore.found(Path("~/volumes")) is None


def test_what_a_killed_program_left_goes_unless_another_has_the_store_open(tmp_path):
    store = VolumeStore(tmp_path / "s")
    places = [tmp_path / "s" / "images", tmp_path / "s" / "labels"]
    for place in places:
        (place / ".part-0123456789abcdef").mkdir(parents=True)
        (place / "0123").mkdir()
    VolumeStore(tmp_path / "s")  # of another program, as it were
    assert all((place / ".part-0123456789abcdef").is_dir() for place in places)
    del store
    gc.collect()
    VolumeStore(tmp_path / "s")
    assert not any((place / ".part-0123456789abcdef").exists() for place in places)
    assert all((place / "0123").is_dir() for place in places)
