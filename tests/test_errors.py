from segxfer3d.errors import once_each, some


def test_a_list_says_how_much_of_it_is_not_shown():
    assert some([]) == ""
    assert some(["a", "b"], most=2) == "a; b"
    assert some(["a", "b", "c"], most=1) == "a; and 2 more"
    assert some(range(4), 2, ", ") == "0, 1, and 2 more"
    assert some((f"line {n}" for n in range(12)), separator="\n").splitlines()[-1] == "and 2 more"


def test_what_is_wrong_with_many_cases_is_said_once():
    problems = {name: f"/d/{name}.nii: would take 9 GiB" for name in "abcde"}
    assert once_each(problems) == ["/d/a.nii: would take 9 GiB; and so 4 more: b, c, d, e"]
    few = {name: problems[name] for name in "abc"}
    other = {"f": "/d/f.nii: would take 8 GiB", "g": "g: empty"}
    assert once_each({**few, **other}) == [*few.values(), *other.values()]
    assert once_each({**problems, **other}) == [*other.values(), *once_each(problems)]
    assert once_each({name: f"{name}: too short" for name in "hijk"}) == ["h: too short; and so 3 more: i, j, k"]
    assert once_each({"a": "expected: none", "b": "found: none"}, most=1) == ["expected: none", "found: none"]
    assert once_each({}) == []
