import csv
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from segxfer3d import files
from segxfer3d.cells import cell_name
from segxfer3d.errors import InputError

FULL_DISK = """
import resource, sys
from pathlib import Path
from segxfer3d import files
from segxfer3d.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_text(Path(sys.argv[1]), "new" * 1000)
except InputError as error:
    print(error)
"""


def test_what_is_written_is_read_again_and_nothing_else_is_left(tmp_path):
    files.write_json(tmp_path / "a.json", {"väl": 1, "path": Path("x")})
    files.write_rows(tmp_path / "b.csv", [{"case": "a", "dice": 0.5}, {"case": "b", "iou": 1}])
    files.write_rows(tmp_path / "none.csv", [], ["case"])
    files.append_line(tmp_path / "c.txt", "é")
    files.append_line(tmp_path / "c.txt", "f")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"väl": 1, "path": "x"}
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as file:
        assert [row["iou"] for row in csv.DictReader(file)] == ["", "1"]
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "case\n"
    assert (tmp_path / "c.txt").read_text(encoding="utf-8") == "é\nf\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.csv", "c.txt", "none.csv"]


def test_a_name_that_is_no_text_is_written_as_an_escape(tmp_path):
    files.write_text(tmp_path / "a.txt", os.fsdecode(b"case\xff"))
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "case\\udcff"
    assert files.names_hash([os.fsdecode(b"case\xff")]) != files.names_hash(["case"])


def test_a_library_writes_to_a_file_that_replaces_the_old_one(tmp_path):
    with files.replacing(tmp_path / "1.2.840.nii.gz", sync=True) as file:
        file.write(b"mask")
    assert [path.name for path in tmp_path.iterdir()] == ["1.2.840.nii.gz"]

    def fail():
        with files.replacing(tmp_path / "1.2.840.nii.gz") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mask"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def fill_disk():
        with files.new_folder(tmp_path / "store") as temporary:
            (temporary / "half").touch()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"store could not be saved \(\[Errno 28\] No space"):
        fill_disk()
    assert list(tmp_path.iterdir()) == []
    with files.new_folder(tmp_path / "store") as temporary:
        (temporary / "whole").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["store", "store/whole"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300 + ".json", "…? could not be saved .the name is too long"),
        ("file/a.json", "could not be saved .expected a folder, found a file"),
        ("nowhere/a.json", "could not be saved .* No such file"),
    ],
)
def test_a_name_at_fault_is_said_shortly(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message) as caught:
        files.write_text(tmp_path / name, "")
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    for write in (files.make_folder, files.Lock.take):
        with pytest.raises(InputError):
            write(tmp_path / "file" / "x")
    with pytest.raises(InputError, match="too long"):
        files.append_line(tmp_path / ("x" * 300), "")


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()

    def write_folder():
        with files.new_folder(tmp_path / "file" / "new" / "x"):
            pass

    for write in (lambda: files.write_text(tmp_path / "file" / "a.json", ""), write_folder):
        with pytest.raises(InputError) as said:
            write()
        assert str(said.value).endswith(f"could not be saved (expected a folder, found a file: {tmp_path / 'file'})")


def test_a_name_as_long_as_may_be_is_written(tmp_path):
    path = tmp_path / ("x" * 248 + ".nii.gz")
    files.write_bytes(path, b"a")
    assert path.read_bytes() == b"a"


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limits here")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    result = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "a.txt could not be saved ([Errno 27] File too large)" in result.stdout
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


def test_a_lock_is_held_by_whoever_inherits_it(tmp_path):
    path = tmp_path / "a.lock"
    assert not files.held(path)
    lock = files.Lock.take(path)
    assert files.Lock.take(path) is None
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.number]
    )
    lock.release()
    assert files.held(path)
    process.communicate(b"\n")
    assert not files.held(path)
    with_others = [files.Lock.take(path, shared=True) for _ in range(2)]
    assert all(with_others)
    assert files.Lock.take(path) is None


def test_fingerprints_tell_contents_apart_and_not_places(tmp_path):
    assert files.names_hash(["b", "a"]) == files.names_hash(iter(["a", "b"])) == "7e18f737311b2dc3"
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1}) != files.digest({"a": 1})
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scan").write_text("scan")
        (tmp_path / name / ".hidden").write_text(name)
    assert files.folder_identity(tmp_path / "x") == files.folder_identity(tmp_path / "y")
    assert files.file_identity(tmp_path / "x" / "scan") == files.file_identity(tmp_path / "y" / "scan")
    (tmp_path / "y" / "scan").write_text("scans")
    assert files.folder_identity(tmp_path / "x") != files.folder_identity(tmp_path / "y")
    assert files.file_identity(tmp_path / "x" / "scan") != files.file_identity(tmp_path / "y" / "scan")
    for read in (files.folder_identity, files.file_identity):
        with pytest.raises(InputError, match=r"nowhere cannot be read .* No such file"):
            read(tmp_path / "nowhere")


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    (tmp_path / "kept").mkdir()
    for name in ("a.json", "kept/.part-0123"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom segxfer3d import files\n"
        "with files.replacing(Path(sys.argv[1])) as file:\n    file.write(b'half')\n    file.flush()\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "epoch-00001.pt")], check=False)
    (tmp_path / f"{files._PART}folder").mkdir()
    assert len(list(tmp_path.iterdir())) == 4
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "kept"]
    assert (tmp_path / "kept" / ".part-0123").exists()  # not below
    files.sweep(tmp_path / "not there")


def test_no_spreadsheet_runs_a_cell(tmp_path):
    names = ["=1+1", "+a", "-b", "@c", "\td", "'quoted", "plain", "'=a"]
    files.write_rows(tmp_path / "a.csv", [{"case": name, "dice": -0.5, "text": "-1.5"} for name in names])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = ["'=1+1", "'+a", "'-b", "'@c", "'\td", "'quoted", "plain", "'=a"]
    assert [row["case"] for row in rows] == shown
    assert {row["dice"] for row in rows} == {"-0.5"}
    assert {row["text"] for row in rows} == {"-1.5"}  # a number
    assert [cell_name(cell) for cell in shown[:-1]] == names[:-1]
