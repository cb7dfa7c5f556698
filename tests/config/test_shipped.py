"""The bundles that come with the package: found by name, copied where a user wants them."""

import pytest

from segxfer3d.config.shipped import bundle_names, copy_bundles, find_bundle, shipped_folder, study_names
from segxfer3d.errors import InputError


def test_names_of_what_can_be_run():
    assert {"genesis_finetune", "conrec_pretrain", "evaluate", "infer"} < set(bundle_names())
    assert not {"options", "metadata", "metadata_2d", "smoke"} & set(bundle_names())
    assert "demo" in study_names()


@pytest.mark.parametrize("name", ["infer", "infer.json", "bundles/infer.json"])
def test_a_shipped_bundle_is_found_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle(name) == shipped_folder() / "infer.json"


def test_what_lies_here_or_beside_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "infer.yaml").write_text("a: 1\n")
    assert find_bundle("infer", beside=(tmp_path / "beside",)) == tmp_path / "beside" / "infer.yaml"
    (tmp_path / "infer.json").write_text("{}")
    assert find_bundle("infer.json", beside=(tmp_path / "beside",)).resolve() == tmp_path / "infer.json"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine/infer.json", r"bundle mine/infer\.json: no such file; did you mean infer\?"),
        ("infr", r"bundle infr: no such file; did you mean infer\?"),
        ("nonsense", "expected a path, or one of byol_pretrain, "),
        ("bundles/a.json,bundles/b.json", "several stand one behind the other, without commas"),
    ],
)
def test_what_is_not_there_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        find_bundle(name)


def test_copies_replace_nothing_unless_they_are_told_to(tmp_path):
    files = copy_bundles(tmp_path)
    assert (tmp_path / "bundles" / "studies" / "demo.json") in files
    (tmp_path / "bundles" / "infer.json").write_text("mine")
    (tmp_path / "bundles" / "mine.json").write_text("mine")
    with pytest.raises(InputError, match=r"holds files of these names already: .*byol_pretrain\.json.*--force"):
        copy_bundles(tmp_path)
    assert (tmp_path / "bundles" / "infer.json").read_text() == "mine"
    copy_bundles(tmp_path, force=True)
    assert (tmp_path / "bundles" / "infer.json").read_bytes() == (shipped_folder() / "infer.json").read_bytes()
    assert (tmp_path / "bundles" / "mine.json").read_text() == "mine"
