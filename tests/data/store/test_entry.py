"""Entries: whole or not at all, and whatever happens to their files is seen."""

import json
import multiprocessing
import resource
import zlib

import numpy as np
import pytest

from segxfer3d.data.store.entry import about_entry, entry_array, entry_problem, file_checksum, write_entry
from segxfer3d.errors import InputError

FROM = {"image": "0123", "spacing": [1.0, 1.5]}
ARRAYS = {"image": np.arange(60, dtype=np.float32).reshape(3, 4, 5), "turned": np.asfortranarray(np.eye(3))}
ABOUT = {"case": "Fräulein 体", "geometry": {"affine": [0.1 + 0.2, float("inf")]}}
fork = multiprocessing.get_context("fork")


@pytest.fixture
def entry(tmp_path):
    write_entry(tmp_path / "e", ARRAYS, ABOUT, made_from=FROM)
    return tmp_path / "e"


def test_what_is_written_comes_back(entry):
    assert entry_problem(entry, FROM) == ""
    about = about_entry(entry)
    assert (about["case"], about["geometry"]) == (ABOUT["case"], ABOUT["geometry"])
    for name, array in ARRAYS.items():
        back = entry_array(entry, name)
        assert back.dtype == array.dtype
        assert back.flags.c_contiguous == array.flags.c_contiguous
        np.testing.assert_array_equal(back, array)
        size, _ = about["files"][f"{name}.npy"]
        assert size == (entry / f"{name}.npy").stat().st_size
    assert np.load(entry / "image.npy").sum() == ARRAYS["image"].sum()  # a plain NumPy file


def test_of_another_content_it_is_not_taken(entry):
    assert entry_problem(entry, {**FROM, "spacing": [1.0, 1.6]}) == "made by another preprocessing"
    assert entry_problem(entry.parent / "none", FROM) == "missing"


@pytest.mark.parametrize("file", ["about.json", "image.npy", "turned.npy"])
def test_no_byte_of_a_file_changes_unseen(file, entry):
    path = entry / file
    whole, about = path.read_bytes(), about_entry(entry)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if entry_problem(entry, FROM) != "damaged":  # the last digit of 0.30000000000000004 may as well be another
            assert (file, about_entry(entry)) == ("about.json", about), (place, whole[place : place + 1])
    path.write_bytes(whole)
    assert entry_problem(entry, FROM) == ""


@pytest.mark.parametrize("kept", [0, 1, 9, 80, -1])
@pytest.mark.parametrize("file", ["about.json", "image.npy"])
def test_a_file_that_was_cut_is_damaged(kept, file, entry):
    path = entry / file
    path.write_bytes(path.read_bytes()[: kept if kept >= 0 else -2])
    assert entry_problem(entry, FROM) == "damaged"


@pytest.mark.parametrize("content", ["null", "[]", "{}", "3", '"text"', '{"checksum": 0}', '{"files": {"a": 1}}'])
def test_another_json_is_no_description(content, entry):
    (entry / "about.json").write_text(content)
    assert about_entry(entry) is None
    assert entry_problem(entry, FROM) == "damaged"


def test_one_that_an_earlier_version_described_is_made_again(entry):
    about = json.loads((entry / "about.json").read_text())
    del about["checksum"]
    (entry / "about.json").write_text(json.dumps(about))
    assert entry_problem(entry, FROM) == "damaged"


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x03\x04 a zip", b"\x93NUMPY\x01\x00\x76\x00{" + b" " * 200, None]
)
def test_an_array_that_goes_while_it_is_used_is_named(content, entry):
    path = entry / "image.npy"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"image\.npy: was changed or removed while it was in use; start again"):
        entry_array(entry, "image")


def _write_too_much(entry, said):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_entry(entry, {"small": np.zeros(9), "large": np.zeros(10**5)}, {}, made_from=FROM)
    except InputError as error:
        said.put(str(error))


def test_a_write_error_is_named_and_leaves_nothing(tmp_path):
    said = fork.Queue()
    program = fork.Process(target=_write_too_much, args=(tmp_path / "images" / "e", said))
    program.start()
    assert said.get(timeout=60) == f"{tmp_path / 'images' / 'e'} could not be saved ([Errno 27] File too large)"
    program.join(60)
    assert not [*(tmp_path / "images").iterdir()]


def test_a_checksum_is_the_crc_32_that_zlib_has(tmp_path):
    """Stores of earlier versions stay sound."""
    for size in (0, 1, 2**20, 2**20 + 17):
        content = np.random.default_rng(size).bytes(size)
        (tmp_path / "file").write_bytes(content)
        assert file_checksum(tmp_path / "file") == zlib.crc32(content)
