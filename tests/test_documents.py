"""Files of values are read, or refused with the file, the entry, what was found and what was expected."""

import json

import pytest

from segxfer3d import documents
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import NUMBER, OBJECT, Table
from segxfer3d.schema.own_files import KINDS
from tests.compatibility.test_old_files import FILES

OLD = sorted(path for path in FILES.rglob("*.json") if path.name in KINDS and path.parent != FILES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected an object, got an empty list"),
        ('{"seconds": NaN}', "seconds: expected a number, got nan"),
        ('{"seconds": "1"}', "seconds: expected a number, got '1'"),
        ("{}", "seconds: is missing"),
        ('{"seconds": 1, "seconds": 2}', "'seconds' is there twice"),
        ("[" * 2000, "more than 100 lists"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
    path = tmp_path / "done.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        documents.own(path, before="resume: ", after="; start anew")
    assert str(caught.value).startswith(f"resume: {path}: damaged (")
    assert str(caught.value).endswith("); start anew")


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    for path, why in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / ("a" * 300), "name too long"),
    ):
        with pytest.raises(InputError, match=rf"cannot be read \(.*{why}"):
            documents.read(path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="no text in UTF-8"):
        documents.read(tmp_path / "bytes.json")
    (tmp_path / "large.json").write_text("[1, 2, 3]")
    monkeypatch.setattr(documents, "BYTES", 8)
    with pytest.raises(InputError, match=r"large\.json: cannot be read .*expected at most"):
        documents.read(tmp_path / "large.json")


def test_lines(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert documents.lines(path, Table(NUMBER)) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(InputError, match=r"lines\.jsonl: damaged \(line 2: a: expected a number, got 'x'\)"):
        documents.lines(path, Table(NUMBER))
    assert documents.lines(path, OBJECT)[1] == {"a": "x"}


def test_files_of_earlier_versions_are_of_their_kind():
    assert len({path.name for path in OLD}) >= 9
    for path in OLD:
        assert documents.own(path) == json.loads(path.read_text(encoding="utf-8"))


def test_what_is_needed_of_each_kind_is_missed(tmp_path):
    """Without an entry that the kind needs, each file is refused, and the entry is named."""
    for path in OLD:
        content = documents.own(path)
        for name in getattr(KINDS[path.name], "needed", ()):
            damaged = tmp_path / path.name
            damaged.write_text(json.dumps({key: value for key, value in content.items() if key != name}))
            with pytest.raises(InputError, match=rf"{path.name}: damaged \({name}: is missing\)"):
                documents.own(damaged)
