"""JSON that no program writes is refused, with a short reason."""

import json

import pytest

from segxfer3d.schema import parsing
from segxfer3d.schema.parsing import check, parse


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not JSON \(Expecting value"),
        ('{"a": 1', r"is not JSON \(Expecting"),
        ('{"a": 1, "b": {"a": 1, "a": 2}}', "the key 'a' is there twice; expected it once"),
        ('{"' + "k" * 999 + '": 1, "' + "k" * 999 + '": 2}', "is there twice"),
        ("[" * 150 + "]" * 150, "more than 100 lists and objects in each other"),
        ("[" * 100_000, "more than 100 lists and objects in each other"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "more than 100 lists and objects in each other"),
        ("9" * 400, "a whole number of 400 digits; expected at most 300"),
        ("[-" + "9" * 5000 + "]", "a whole number of 5001 digits"),
        (r'"\ud800"', r"text with half a letter \(U\+D800\)"),
        (r'{"a": ["x\udfff"]}', "half a letter"),
        (r'{"\udc00": 1}', "half a letter"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(text)
    assert len(str(caught.value)) < 300


def test_what_is_read():
    """Letters beyond the first plane, and bytes of file names that are no text, as Python has them."""
    for content in ({"a": [1, 2.5, None, True, "ü"]}, ["😀"], "caf\udce9", 10**299, [[[]]], {"": {}}):
        assert parse(json.dumps(content)) == content
    assert parse("1e999") == float("inf")


def test_references_that_make_billions_of_values(monkeypatch):
    monkeypatch.setattr(parsing, "VALUES", 1000)
    value = ["x"] * 10
    for _ in range(99):
        value = [value] * 10
    with pytest.raises(ValueError, match="more than 1000 values"):
        check(value)
