"""The two forms of letters with marks."""

from segxfer3d.spelling import on_disk, one_form, two_paths

ONE, TWO = "M\u00fcller", "Mu\u0308ller"


def test_one_form():
    assert ONE != TWO
    assert one_form(TWO) == one_form(ONE) == ONE
    assert one_form("plain") == "plain"


def test_a_path_as_the_disk_spells_it(tmp_path):
    (tmp_path / TWO).mkdir()
    (tmp_path / TWO / f"{ONE}.nii").touch()
    assert on_disk(tmp_path / ONE / f"{TWO}.nii") == tmp_path / TWO / f"{ONE}.nii"
    assert on_disk(tmp_path / TWO / f"{ONE}.nii") == tmp_path / TWO / f"{ONE}.nii"
    assert on_disk(tmp_path / ONE / "other.nii") == tmp_path / ONE / "other.nii"  # is not there
    assert on_disk(tmp_path / f"{ONE}.nii") == tmp_path / f"{ONE}.nii"


def test_of_two_that_are_there_none_is_taken_for_the_other(tmp_path):
    three = "e\u0323\u0302", "e\u0302\u0323", "\u1ec7"  # one letter with two marks, in three ways
    for name in three[:2]:
        (tmp_path / name).touch()
    assert on_disk(tmp_path / three[0]) == tmp_path / three[0]
    assert on_disk(tmp_path / three[2]) == tmp_path / three[2]


def test_two_paths_that_look_alike_say_so():
    assert two_paths(ONE, TWO).endswith("(they look alike: their letters with marks are stored in two forms)")
    assert two_paths(ONE, ONE) == f"{ONE} and {ONE}"
