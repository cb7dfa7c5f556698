from segxfer3d.errors import some


def test_a_list_says_how_much_of_it_is_not_shown():
    assert some([]) == ""
    assert some(["a", "b"], most=2) == "a; b"
    assert some(["a", "b", "c"], most=1) == "a; and 2 more"
    assert some(range(4), 2, ", ") == "0, 1, and 2 more"
    assert some((f"line {n}" for n in range(12)), separator="\n").splitlines()[-1] == "and 2 more"
