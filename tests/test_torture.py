"""The torture script: what it changes, what it calls a good end, and its table; a short run of all parts is slow."""

import gzip
import json
import mmap
import os
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from torture_mutations import CANARY, changed_bytes, changed_gzip, changed_json, changed_text, changed_value
from torture_record import BEGIN, END, Tally, keep, read_record, table, write_page
from torture_start import Writes
from torture_worker import READ, REFUSED, Worker, judge, names_of_file

from segxfer3d import files
from segxfer3d.errors import InputError

SCRIPTS = Path(__file__).parents[1] / "scripts"
CONTENT = {"name": "a", "labels": {"0": "background", "1": "lesion"}, "training": [{"image": "x.nii.gz"}], "size": 3}


@pytest.mark.parametrize("change", [changed_bytes, changed_text])
def test_a_change_repeats_with_its_seed_and_differs_with_another(change):
    good = b"DimSize = 20 18 12\nElementSpacing = 1 1 2\n" + bytes(range(256)) * 4
    changed = {change(good, Random(seed)) for seed in range(40)}
    assert len(changed) > 30
    assert change(good, Random(7)) == change(good, Random(7))
    assert change(b"", Random(0)) in (b"", change(b"", Random(0)))


def test_a_gzip_file_is_changed_inside_or_outside():
    good = gzip.compress(bytes(range(256)) * 20, mtime=0)
    opened = 0
    for seed in range(40):
        with suppress(OSError, EOFError, zlib.error):
            opened += gzip.decompress(changed_gzip(good, Random(seed))) != bytes(range(256)) * 20
    assert 10 < opened < 40


def test_json_is_changed_and_the_good_value_stays():
    before = json.dumps(CONTENT)
    texts = [changed_json(CONTENT, Random(seed)) for seed in range(60)]
    assert json.dumps(CONTENT) == before
    assert len(set(texts)) == 60
    assert any(text.count(b"[") > 10_000 for text in texts)
    assert changed_json(CONTENT, Random(3)) == texts[3]


def test_values_that_would_run_name_the_canary():
    values = [json.dumps(changed_value(CONTENT, Random(seed), "/place")) for seed in range(300)]
    assert any(f"/place/{CANARY}" in value and "$__import__" in value for value in values)
    assert not any(CANARY in json.dumps(changed_value(CONTENT, Random(seed))) for seed in range(100))


def test_what_is_a_good_end(tmp_path):
    names = names_of_file(tmp_path, tmp_path / "imagesTr" / "p1.nii.gz")
    assert {"p1.nii.gz", "p1", "imagesTr"} <= names
    assert judge(None, names, tmp_path) == (READ, "")
    assert judge(InputError(f"{tmp_path}/imagesTr/p1.nii.gz: damaged"), names, tmp_path) == (REFUSED, "")
    assert judge(InputError("it is damaged"), names, tmp_path)[0] == "unnamed"
    assert judge(InputError("p1.nii.gz: " + "x" * 5000), names, tmp_path)[0] == REFUSED  # the screen shows 1,500 of it
    word, detail = judge(KeyError("size"), names, tmp_path)
    assert (word, detail[:8]) == ("trace", "KeyError")
    (tmp_path / CANARY).touch()
    assert judge(None, names, tmp_path)[0] == "executed"


class Odd:
    """Inputs whose reader does what the trial's number says."""

    name, group = "odd", "others"

    def damage(self, place, rng):
        path = place / "file"
        path.write_text(place.name.rpartition("-")[2])
        return path

    def names(self, place, damaged):
        return {damaged.name}

    def read(self, place):
        number = int((place / "file").read_text())
        if number == 1:
            raise InputError(f"{place / 'file'}: no")
        if number == 2:
            os._exit(3)
        if number == 3:
            time.sleep(60)
        if number == 4:
            # Pages of its own: the allocator may serve 32 MiB from what the forked process had before: no growth.
            Odd.held = mmap.mmap(-1, 32 * 2**20)
            Odd.held.write(bytes(32 * 2**20))


def test_a_process_that_hangs_dies_or_grows_is_replaced(tmp_path, monkeypatch):
    worker = Worker([Odd()], 0, tmp_path)
    limits = {3: ("torture_worker.SECONDS", 0.1), 4: ("torture_worker.GROWTH", 16 * 2**20)}
    ends = []
    try:
        for number in range(6):
            with monkeypatch.context() as patch:
                if number in limits:
                    patch.setattr(*limits[number])
                ends.append(worker.trial("odd", number))
    finally:
        worker.end()
    assert [end.word for end in ends[:2]] + [ends[-1].word] == [READ, REFUSED, READ]
    assert [end.word for end in ends[2:5]] == ["died", "hang", "growth"]
    assert ends[2].detail == "exit status 3"
    assert ends[4].growth > 16 * 2**20  # it is ended as it grows


def written(root, **how):
    """How a forked process ended that writes two files and makes a folder, what is there, and its writes."""
    root.mkdir()
    writes = Writes(root, **how)
    pid = os.fork()
    if pid == 0:
        try:
            writes.install()
            (root / "a").write_text("first")
            files.write_text(root / "b", "second")
            (root / "c").mkdir()
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, sorted(path.name for path in root.iterdir()), writes.count


def test_a_process_dies_at_the_write_that_is_meant(tmp_path):
    status, names, count = written(tmp_path / "whole")
    assert (status, names) == (0, ["a", "b", "c"])
    assert count >= 4  # two are opened, one is renamed, a folder is made
    for at in range(1, count + 1):
        status, names, reached = written(tmp_path / str(at), at=at)
        assert (status, reached) == (-signal.SIGKILL, at)
        assert "c" not in names
    assert written(tmp_path / "renamed", to="b")[:2] == (-signal.SIGKILL, [files._beside(tmp_path / "b").name, "a"])


def test_a_file_is_cut_within_its_last_write(tmp_path):
    sizes = set()
    for seed in range(8):
        root = tmp_path / str(seed)
        assert written(root, at=2, cut=Random(seed))[0] == -signal.SIGKILL
        sizes.add((root / "a").stat().st_size)
    assert len(sizes) > 2
    assert max(sizes) <= len("first")


def test_counts_add_up_in_the_record_and_stand_in_the_page(tmp_path):
    tally = Tally()
    tally.add("inputs", "NIfTI .nii", seconds=1.24, growth=3 * 2**20, read=1)
    tally.add("inputs", "NIfTI .nii", refused=1)
    tally.add("inputs", "NIfTI .nii", seconds=0.1)
    tally.fail("inputs", "NIfTI .nii", "trace, KeyError")
    tally.add("kills", "study", number=2, seconds=9.0)
    about = {"minutes": 30.0, "commit": "abc", "date": "2026-01-01", "hardware": "2 cores"}
    path, page = tmp_path / "record.json", tmp_path / "page.md"
    keep(path, tally, about)
    record = keep(path, tally, about | {"commit": "def"})
    assert read_record(path) == record
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore\n")
    write_page(page, record)
    text = page.read_text()
    assert text.startswith("# Title\n\n") and text.endswith(f"{END}\n\nmore\n") and "old" not in text  # noqa: PT018
    assert "| NIfTI .nii | 6 | 2 | 2 | 2 | 1.2 | 3 |" in text
    assert "| study | 4 | 0 |" in text
    assert "60 minutes on one core of 2 cores; 2026-01-01, code abc, def." in text
    assert table(record) in text
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="expected <!-- torture: begin -->"):
        write_page(page, record)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_short_run(tmp_path):
    words = [sys.executable, str(SCRIPTS / "torture.py"), "inputs", "--minutes", "0.1", "--scratch", str(tmp_path)]
    ended = subprocess.run(
        [*words, "--record", str(tmp_path / "record.json")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = read_record(tmp_path / "record.json")["counts"]["inputs"]
    assert len(counts) > 20
    assert all(of["tried"] and not of.get("failed") for of in counts.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.json"]
