import pytest

from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError


def make(root, names):
    for name in names:
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).touch()
    return root


def test_subsets_are_folds(tmp_path):
    root = make(tmp_path, ["subset0/1.3.6.mhd", "subset0/1.3.6.raw", "subset7/1.3.2.mhd", "candidates.csv"])
    found = find_cases(root)
    assert (found.layout, found.modality, found.labeled) == ("luna16", "CT", ())
    assert [(case.name, case.patient, case.fold) for case in found.cases] == [
        ("1.3.2", "1.3.2", 7),
        ("1.3.6", "1.3.6", 0),
    ]
    assert found.cases[1].image == root / "subset0/1.3.6.mhd"


def test_one_series_in_two_subsets(tmp_path):
    with pytest.raises(InputError, match="one series in two subsets"):
        find_cases(make(tmp_path, ["subset0/1.3.6.mhd", "subset1/1.3.6.mhd"]))


def test_empty_subsets(tmp_path):
    (tmp_path / "subset0").mkdir()
    with pytest.raises(InputError, match="no volumes in it"):
        find_cases(tmp_path)
