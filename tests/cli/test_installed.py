"""What an installed package brings; `.ci/run` installs the wheel and runs it in an empty folder (`.ci/installed`)."""

import fnmatch

import pytest

from segxfer3d.config import shipped
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError
from tests.cli.test_cli import ROOT, call


def test_the_wheel_has_every_file_of_the_bundles():
    tomllib = pytest.importorskip("tomllib")
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = content["tool"]["setuptools"]["package-data"]["segxfer3d"]
    files = ["_bundles/" + p.relative_to(ROOT / "bundles").as_posix() for p in (ROOT / "bundles").rglob("*.*")]
    assert len(files) > 25
    left_out = [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns)]
    assert left_out == []
    assert shipped_folder() == ROOT / "bundles"


def test_bundles_are_copied_and_never_replaced_unasked(tmp_path):
    files = sorted(p.relative_to(ROOT / "bundles") for p in (ROOT / "bundles").rglob("*") if p.is_file())
    status, said = call("bundles", "copy", tmp_path)
    assert (status, said) == (0, f"{len(files)} files in {tmp_path / 'bundles'}\n")
    assert (
        sorted(p.relative_to(tmp_path / "bundles") for p in (tmp_path / "bundles").rglob("*") if p.is_file()) == files
    )
    infer = tmp_path / "bundles" / "infer.json"
    infer.write_text("{}", encoding="utf-8")
    status, said = call("bundles", "copy", tmp_path)
    assert status == 1
    assert "holds files of these names already" in said
    assert f"and {len(files) - 10} more; --force replaces them" in said
    assert infer.read_text(encoding="utf-8") == "{}"
    for path in (tmp_path / "bundles").rglob("*.*"):
        if path != infer:
            path.unlink()
    status, said = call("bundles", "copy", tmp_path)
    assert (status, "infer.json" in said) == (1, True)
    assert list((tmp_path / "bundles").glob("*.json")) == [infer], "all or none"
    assert call("bundles", "copy", tmp_path, "--force")[0] == 0
    assert infer.read_text(encoding="utf-8") == (ROOT / "bundles" / "infer.json").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    status, said = call("bundles", "copy", tmp_path / "file" / "below")
    assert (status, "cannot be written" in said) == (1, True)


def test_what_is_shipped_is_listed():
    status, said = call("bundles", "list")
    assert status == 0
    assert {"genesis_finetune", "infer", "study demo"} <= set(said.splitlines())
    assert not {"metadata", "metadata_2d", "options"} & set(said.splitlines())


def test_a_damaged_installation_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "config" / "shipped.py"))
    shipped_folder.cache_clear()
    try:
        with pytest.raises(InputError, match="the bundles are missing; install segxfer3d again"):
            shipped_folder()
    finally:
        shipped_folder.cache_clear()
