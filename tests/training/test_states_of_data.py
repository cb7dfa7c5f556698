"""What a run keeps of the data that it was made from: whose values moved, and what it saw before. No training runs."""

import json
from pathlib import Path

import pytest

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import CheckReport
from segxfer3d.errors import InputError
from segxfer3d.jobs.source import Source
from segxfer3d.run.made_from import MadeFrom, _moved


def cases(**values):
    return {name: list(pair) for name, pair in values.items()}


FIRST = cases(a="1x", b="2y", c="3x", d="4z")  # a, b train, c is tested, d in no part


PARTS = {"a": "train", "b": "train", "c": "test"}


@pytest.mark.parametrize(
    ("states", "now", "empty", "told"),
    [
        ([FIRST], FIRST, (), []),
        ([FIRST], cases(a="2y", b="1x", c="3x", d="4z"), (), []),
        ([FIRST], cases(a="3x", b="2y", c="1x", d="4z"), (), ["a of train has the image of c", "c of test has"]),
        ([FIRST], cases(a="4x", b="2y", c="3x", d="4z"), (), []),
        ([FIRST], cases(a="5x", b="2y", c="5x", d="4z"), (), ["a of train has the image of c of test", "c of test"]),
        ([FIRST], cases(a="1x", b="2y", c="3y", d="4z"), (), ["c of test has the label of b of train"]),
        ([FIRST], cases(a="1x", b="2y", c="3y", d="4z"), ("c",), []),  # an empty label is nobody's
        ([FIRST], cases(a="1x", b="2x", c="3x", d="4z"), (), []),  # a part that had that label, too
        ([FIRST, cases(a="9x", b="2y", c="3x")], cases(a="9x", b="2y", c="1x"), (), ["c of test has the image of a"]),
        ([FIRST, cases(a="9x", b="2y", c="3x")], cases(a="1x", b="2y", c="3x"), (), []),  # its own again
        ([cases(a="1", b="2", c="3")], cases(a="1", b="2", c="4"), (), []),  # without labels
    ],
)
def test_whose_values_are_another_parts(states, now, empty, told):
    found = list(_moved(states, now, PARTS, empty))
    assert len(found) == len(told)
    assert all(text.startswith(start) for text, start in zip(found, told, strict=True)), found


def test_what_a_killed_start_left_is_no_record_of_the_next(tmp_path):
    for value in ("1", "2"):  # no run.json was written in between
        started = MadeFrom(tmp_path)
        started.take(cases={"a": [value]})
        started.write()
    assert json.loads((tmp_path / "made_from.json").read_text(encoding="utf-8")) == {"cases": {"a": ["2"]}}
    (tmp_path / "run.json").write_text('{"knobs": {}}', encoding="utf-8")
    goes_on = MadeFrom(tmp_path, resume=True)
    with pytest.raises(InputError, match=r"1 case has other values \(a\)"):
        goes_on.take(cases={"a": ["1"]})


@pytest.mark.parametrize("dims", [2, 3])
def test_a_model_notes_all_that_it_trained_on(dims):
    trained = Case("a", Path("a"))
    look = (1.0, 1.0, 1.0), ((0.0, 9.0),)
    report = CheckReport((trained,), contents={"a": "new"}, seen={"a": look})
    before = {"cases": {"a": ["old", "x"], "b": ["b", "y"]}, "seen": {"a": {"spacing": [2, 1, 1], "values": [[-5, 3]]}}}
    source = Source(CaseSet(Path("set"), "folder", dims, (trained,)), report, None, None, False, earlier=[before, {}])
    known = source.provenance([trained])
    assert known["contents"] == ["new", "old"]
    if dims == 3:
        assert known["seen"] == {"spacing": [[1, 1, 1], [1.5, 1, 1], [2, 1, 1]], "values": [-5, 9]}


def test_states_of_the_data_that_a_run_had_before(tmp_path):
    for count, value in enumerate("1232"):  # the last goes on with what is there
        goes_on = MadeFrom(tmp_path, resume=count > 0, accept=True)
        goes_on.take(cases={"a": [value]}, seen={"a": {"spacing": [1.0] * 3, "values": [[0, int(value)]]}})
        goes_on.write()
        (tmp_path / "run.json").write_text('{"knobs": {}}', encoding="utf-8")
        states = [(state["cases"]["a"], state["seen"]["a"]["values"]) for state in goes_on.earlier]
        assert states == [([before], [[0, int(before)]]) for before in "1232"[:count]]
