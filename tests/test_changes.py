"""Differences of plain values: dotted names, both values, short."""

import pytest

from segxfer3d.changes import changes

LONG = "a" * 100


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({}, {}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b 1, not 2"]),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {}}}, ["a.b.c x, not nothing"]),
        ({"a": {"b": 1}}, {"a": 3}, ['a {"b": 1}, not 3']),
        ({"run": ["x", "y"]}, {"run": ["x", "z", "w"]}, ["run.1 y, not z", "run.2 nothing, not w"]),
        ({"list": [{"a": 1}, {"b": 2}]}, {"list": [{"a": 1}, {"b": None}]}, ["list.1.b 2, not null"]),
        ({"size": [1, 2]}, {"size": [1, 3]}, ["size [1, 2], not [1, 3]"]),
        ({"a": "1"}, {"a": 1}, ['a "1", not 1']),
        ({"b": 1, "a": 1}, {"a": 2, "c": 1}, ["a 1, not 2", "b 1, not nothing", "c nothing, not 1"]),
    ],
)
def test_what_differs_is_named(before, now, words):
    assert changes(before, now) == words


def test_long_values_show_what_differs():
    (words,) = changes({"a": f"{LONG}x{LONG}"}, {"a": f"{LONG}y{LONG}"})
    was, now = words.removeprefix("a ").split(", not ")
    assert len(was) <= 60
    assert len(now) <= 60
    assert ("ax" in was, "ay" in now) == (True, True)
    assert was.startswith("...")
    assert was.endswith("...")


def test_the_end_of_a_long_value_is_shown():
    (words,) = changes(LONG, f"{LONG}b", "a")
    assert words.endswith("aaab")
    assert len(words) < 130
