"""The methods paragraph of a report, and whose cases it speaks of: patients, images, groups."""

from dataclasses import replace

import pytest

from segxfer3d.report.collect import collect
from segxfer3d.report.methods import methods
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.report.words import answer, caveats
from segxfer3d.statistics.verdict import judge
from tests.report.made_studies import write_json, write_run


def test_the_methods_tell_a_test_part_of_each_seed_from_what_all_seeds_share(tmp_path):
    for seed in range(3):
        for arm, gain in (("random", 0.0), ("encoder", 0.05)):
            folder = tmp_path / f"{arm}-{seed}"
            write_run(folder, init=arm, seed=seed, gain=gain, case_names=[f"i{i}" for i in range(seed, seed + 12)])
            write_json(folder / "labels.json", {"cases": ["a"] * 5})
    collection = collect(tmp_path)
    paragraph, _ = methods(collection, results(collection))
    assert "images: 12 images in the test part of each seed, 1 image held out for validation; " in paragraph
    assert "; comparisons are of the 10 images that all seeds test; 3 seeds" in paragraph


@pytest.mark.parametrize(
    ("knobs", "data", "words"),
    [
        ({}, {}, "with each voxel in its most probable class of probability at least 0.5 (an empty"),
        (
            {"activation": "sigmoid"},
            {},
            "with each voxel in its most probable class of probability at least 0.5 (an empty",
        ),
        ({"activation": "auto"}, {}, "with each voxel in its most probable class (an empty"),
        ({"activation": "softmax"}, {}, "with each voxel in its most probable class (an empty"),
        ({"activation": "auto"}, {"regions": [[1, [1, 2]]]}, "at threshold 0.5 of each class, classes overlapping (an"),
    ],
)
def test_the_methods_say_how_masks_of_several_classes_are_made(tmp_path, knobs, data, words):
    write_run(tmp_path / "a", knobs=knobs)
    write_json(tmp_path / "a/made_from.json", {"data": data})
    one_class = collect(tmp_path)
    assert "for every test case at threshold 0.5 (an" in methods(one_class, results(one_class))[0]
    path = tmp_path / "a/cases.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    several = [f"{header},dice_liver,dice_spleen", *(f"{row},0.5,0.6" for row in rows)]
    path.write_text("\n".join(several) + "\n", encoding="utf-8")
    collection = collect(tmp_path)
    paragraph, _ = methods(collection, results(collection))
    assert f"Dice was computed for every test case and class {words}" in paragraph
    assert "averaged over classes and cases for each seed" in paragraph


@pytest.mark.parametrize(
    ("names", "who", "one"),
    [
        ([f"horse{i}" for i in range(8)], "8 images", "image"),
        ([f"pet{i // 2}-{i}" for i in range(16)], "16 cases of 8 groups", "group"),
    ],
)
def test_images_are_not_called_patients_anywhere(tmp_path, names, who, one):
    seeds = 3
    for seed in range(seeds):
        for arm, gain in (("random", 0.0), ("encoder", 0.002)):
            folder = tmp_path / f"finetune/{arm}-n5-s{seed}"
            write_run(folder, init=arm, seed=seed, gain=gain, case_names=names)
            write_json(folder / "labels.json", {"cases": ["a"] * 5})
    (result,) = results(collect(tmp_path))
    assert result.who == who
    sentence = result.comparisons[0][1].sentence
    assert f"{seeds} seeds, {who.split(' of ')[-1]}" in sentence
    paragraph, _ = methods(collect(tmp_path), [result])
    assert f"With 5 labeled images: {who} in the test part" in paragraph
    for text in (result.title, sentence, answer([result]), *caveats([result])):
        assert "patient" not in text
    assert "patient" not in paragraph.split("Dice was computed")[1]
    assert f"the mean over seeds and {one}s, every {one} weighing the same" in paragraph
    assert f"at least 3 seeds and 6 {one}s" in paragraph
    page = write_report(tmp_path, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert f"of the mean over {one}s, for other {one}s and other trainings" in page
    assert f"A point for each {one}, mean over seeds" in page
    fewer = replace(result.comparisons[0][0], patients=1)
    few = replace(result, comparisons=((fewer, judge(fewer, 2.0)),))
    assert f"Fewer than 6 {one}s (5 labeled images): no comparison is judged." in caveats([few])
    assert judge(fewer, 2.0).why == f"1 {fewer.units[:-1]}, at least 6 needed"
