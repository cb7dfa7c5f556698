"""Temporary folders: gone in the end, and gone at the next start where a process was killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segxfer3d import temporary
from segxfer3d.temporary import temporary_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from segxfer3d.temporary import temporary_folder
with temporary_folder("kept-", Path(sys.argv[1])) as folder:
    (folder / "a").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


def started(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith(str(folder / "kept-"))
    return process


def aged(folder):
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)


def test_what_a_killed_process_left_goes_and_what_another_uses_stays(tmp_path):
    with started(tmp_path) as one, started(tmp_path) as other:
        (tmp_path / "kept-file").touch()
        aged(tmp_path)
        one.send_signal(signal.SIGKILL)
        one.wait()
        assert len(list(tmp_path.iterdir())) == 3
        with temporary_folder("kept-", tmp_path) as folder:
            folders = [path for path in tmp_path.iterdir() if path.is_dir()]
            assert len(folders) == 2
            assert folder in folders
        other.stdin.close()
    assert [path.name for path in tmp_path.iterdir()] == ["kept-file"]


def test_a_folder_that_is_just_made_stays(tmp_path):
    (tmp_path / "kept-new").mkdir()
    with temporary_folder("kept-", tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["kept-new"]
    aged(tmp_path)
    with temporary_folder("kept-", tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_may_get_another_name_and_goes_with_an_error(tmp_path):
    with temporary_folder("kept-", tmp_path) as folder:
        folder.rename(tmp_path / "there")
    with pytest.raises(KeyError), temporary_folder("kept-", tmp_path) as folder:
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_by_default_it_is_in_the_systems_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    with temporary_folder("segxfer3d-test-") as folder:
        assert folder.parent == tmp_path
