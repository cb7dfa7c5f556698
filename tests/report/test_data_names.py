"""What the data sets in a folder of runs are called."""

from itertools import product

import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from tests.report.made_studies import write_json, write_run

TWO = ["decathlon Task04", "decathlon Task06"]


@pytest.mark.parametrize(
    ("folders", "cases", "images", "expected"),
    [
        (("/data/Task04", "/data/Task06"), ("a", "b"), (None, None), TWO),
        (("/data/Task04", "/data/Task06"), ("a", "a"), ("1" * 32, "2" * 32), TWO),
        # one data set: at two places, or called otherwise on another machine
        (("/data/Task04", "/mnt/Task04"), ("a", "a"), (None, None), ["decathlon"]),
        (("/data/Task04", "/mnt/hippocampi"), ("a", "a"), ("1" * 32, "1" * 32), ["decathlon"]),
        (("/data/Task04", "/mnt/hippocampi"), ("a", "a"), (None, "1" * 32), ["decathlon"]),
    ],
)
def test_data_sets_of_one_format_are_told_apart_by_their_folders(folders, cases, images, expected, tmp_path):
    for place, case, image in zip(folders, cases, images, strict=True):
        for init, seed in product(("random", "frozen-random"), range(3)):
            run = tmp_path / place.strip("/") / f"{init}-{seed}"
            names = [f"{case}{number}" for number in range(8)]
            write_run(run, init=init, seed=seed, case_names=names, knobs={"dataset": "decathlon", "dataset_dir": place})
            write_json(run / "split.json", {"train": [], "test": names})
            if image:
                write_json(run / "made_from.json", {"cases": {name: [image, ""] for name in names}})
    found = results(collect(tmp_path))
    assert [result.data for result in found] == expected
    assert {len(result.runs) for result in found} == {6}
    assert any("ran more than once" in note for result in found for note in result.notes) == (len(expected) == 1)


def test_data_sets_of_three_folders_are_joined_where_one_shares_cases_with_two(tmp_path):
    for folder, cases in (("a", ["p1"]), ("b", ["p2"]), ("c", ["p3"]), ("d", ["p1", "p2"])):
        knobs = {"dataset": "lidc", "dataset_dir": f"/data/{folder}", "target": "nodule"}
        write_run(tmp_path / folder, knobs=knobs, case_names=cases)
        write_json(tmp_path / folder / "split.json", {"test": cases})
    assert {run.name: run.data for run in collect(tmp_path).runs} == {
        "a": "lidc a, nodule", "b": "lidc a, nodule", "c": "lidc c, nodule", "d": "lidc a, nodule",
    }  # fmt: skip
