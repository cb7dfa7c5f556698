"""What an entry may hold, and what is said of one that holds something else."""

import math

import pytest

from segxfer3d.schema.kinds import (
    FIGURE,
    FLAG,
    NAMES,
    NUMBER,
    OBJECT,
    PATH,
    TEXT,
    WHOLE,
    Either,
    Entries,
    ListOf,
    Table,
    first_problem,
    fits,
    number,
    optional,
    shown,
)  # fmt: skip

NAN, HUGE = math.nan, 10**400


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (TEXT, ["", "a"], [None, 1, ["a"]]),
        (FLAG, [True, False], [0, 1, "true", None]),
        (NUMBER, [0, -1.5, 10**299], [NAN, math.inf, True, "1", HUGE, None]),
        (FIGURE, [0, NAN, -math.inf], [True, "1", HUGE, None]),
        (WHOLE, [0, -3], [1.0, True, HUGE, "1"]),
        (NAMES, [[], ["a", 7]], ["a", [True], [1.5], [None], {"a": 1}]),
        (PATH, ["", "a/b.nii.gz", "é" * 127], [None, 3, "a\0b", "a" * 256, "é" * 128, "a/" * 2100]),
        (OBJECT, [{}, {"a": NAN}], [[], None, "a"]),
        (Table(NUMBER), [{}, {"a": 1}], [{"a": "1"}, []]),
        (ListOf(NUMBER, 2), [[1, 2], (1, 2)], [[1], [1, 2, 3], [1, "2"], {1: 2}]),
        (optional(TEXT), [None, "a"], [1]),
        (Either((NUMBER, ListOf(NUMBER))), [1, [1, 2]], ["1", [None]]),
        (number("a share", 0, 1), [0, 1, 0.5], [-0.1, 1.1, NAN, True]),
        (number("a count", 1, whole=True), [1, 10**9], [0, 1.5, HUGE]),
        (Entries({"a": TEXT}, {"b": NUMBER}), [{"a": ""}, {"a": "", "b": 1, "c": []}], [{}, {"a": 1}]),
    ],
)  # fmt: skip
def test_kinds(kind, good, bad):
    assert [value for value in good if not fits(kind, value)] == []
    assert [value for value in bad if fits(kind, value)] == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "seeds: is missing"),
        ([], "expected an object, got an empty list"),
        ({"seeds": {}}, "seeds: expected a list, got an empty object"),
        ({"seeds": [0, "b"]}, "seeds[1]: expected a whole number, got 'b'"),
        ({"seeds": [], "arms": {"a": {"init": None}}}, "arms.a.init: expected text, got null"),
        ({"seeds": [], "arms": {"a" * 99: 3}}, f"arms.{'a' * 60}: expected an object, got 3"),
    ],
)
def test_the_place_of_an_entry_is_named(value, problem):
    kind = Entries({"seeds": ListOf(WHOLE)}, {"arms": Table(Entries({"init": TEXT}))})
    assert first_problem(kind, value) == problem
    assert first_problem(kind, value, "study").startswith("study")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 1000, f"'{'a' * 60}…'"),
        (HUGE, "a number of more than 300 digits"),
        ([10**5000], "a list of 1"),
        ([[]], "a list of 1"),
        ({"a": list(range(9))}, "an object of 1"),
        (["a" * 60, 1], "a list of 2"),
        ([1, None], "[1, None]"),
        (True, "true"),
        (NAN, "nan"),
        (b"x", "a bytes"),
    ],
)
def test_values_are_shown_in_few_characters(value, text):
    assert shown(value) == text
