"""Every study file of the bundles is read, its knobs are checked, and its trials are listed."""

import json
import re
from collections import Counter

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report.published import paper_tables
from segxfer3d.study.grid import expand
from segxfer3d.study.study_file import read_study
from tests.study.studies import BUNDLES

FILES = sorted((BUNDLES / "studies").glob("*.json"))
# pretrainings, arms, data sets, budgets, seeds
SIZES = {
    "channels_lgg": (0, 4, 1, 1, 5),
    "channels_sts": (0, 4, 1, 1, 5),
    "demo": (1, 3, 1, 1, 3),
    "hippocampus": (1, 5, 1, 2, 5),
    "hippocampus_strong": (1, 5, 1, 2, 5),
    "horses": (4, 11, 1, 3, 5),
    "horses_choices": (9, 11, 1, 1, 5),
    "lidc": (1, 5, 1, 3, 5),
    "lidc_tries": (2, 6, 1, 1, 3),
    "nodules_strong": (1, 5, 1, 3, 5),
    "precision": (0, 2, 2, 1, 5),
    "small_figure7": (6, 7, 1, 1, 3),
    "small_table2": (6, 6, 2, 3, 5),
    "small_table2_rates": (6, 24, 2, 1, 1),
    "small_table3": (1, 3, 1, 1, 5),
    "small_table3_rates": (1, 15, 1, 1, 1),
    "small_table5": (2, 4, 2, 1, 5),
    "small_table5_rates": (2, 16, 2, 1, 1),
    "small_table5_strong": (2, 4, 2, 1, 5),
    "small_table5_wide": (2, 4, 2, 1, 2),
    "table2": (6, 6, 2, 3, 5),
    "table3": (0, 3, 1, 1, 5),
    "table4": (5, 9, 2, 1, 5),
    "table5": (2, 4, 2, 1, 5),
    "tuning_3d": (2, 10, 2, 1, 1),
    "tuning_strong": (2, 20, 2, 1, 2),
}


def read(file, folder):
    """The study, with every parameter that has no default as an empty folder or file."""
    given = {}
    for name, what in json.loads(file.read_text(encoding="utf-8")).get("parameters", {}).items():
        if not isinstance(what, dict):
            (folder / name).touch() if name.endswith("checkpoint") else (folder / name).mkdir(exist_ok=True)
            given[name] = str(folder / name)
    return read_study(file, given)


def test_every_study_file_is_known_here():
    assert [file.stem for file in FILES] == list(SIZES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_file_makes_the_grid_that_it_means(tmp_path, file):
    study = read(file, tmp_path)
    trials = expand(study)
    pretrainings, *sizes = SIZES[file.stem]
    assert (len(study.arms), len(study.data), len(study.budgets), len(study.seeds)) == tuple(sizes)
    fine = [trial for trial in trials if trial.kind == "finetune"]
    assert len(trials) - len(fine) == pretrainings
    seeds = sum(len(budget.seeds or study.seeds) for budget in study.budgets)
    assert len(fine) == sizes[0] * sizes[1] * seeds
    assert study.name == file.stem
    assert all({"max_epochs", "steps_per_epoch"} <= set(trial.knobs) for trial in trials)
    for trial in fine:
        assert bool(trial.depends) == (trial.pretrain is not None)


WEAK = {"hippocampus_strong": "hippocampus", "nodules_strong": "lidc"}


@pytest.mark.parametrize("name", WEAK)
def test_the_strong_studies_ask_what_the_weak_ones_asked(tmp_path, name):
    strong, weak = (read(BUNDLES / f"studies/{file}.json", tmp_path) for file in (name, WEAK[name]))
    assert [(n, arm.init, arm.pretrain) for n, arm in strong.arms.items()] == [
        (n, arm.init, arm.pretrain) for n, arm in weak.arms.items()
    ]
    assert (strong.budgets, strong.seeds) == (weak.budgets, weak.seeds)
    shared = ("pretrain_fraction", "validation_fraction", "test_fraction", "patch_size", "batch_size")
    assert [strong.common[knob] for knob in shared] == [weak.common[knob] for knob in shared]


@pytest.mark.parametrize("name", WEAK)
def test_rates_were_searched_on_other_labels_in_the_same_trainings(tmp_path, name):
    study, search = (read(BUNDLES / f"studies/{file}.json", tmp_path) for file in (name, "tuning_strong"))
    data = search.data[name.removesuffix("_strong")]
    assert {**study.finetune.knobs, "mirrored_inference": False} == search.finetune.knobs  # of the test part alone
    assert not set(study.seeds) & set(search.seeds)
    folders = {"dataset_dir": ""}  # a parameter of its own
    assert {**study.common, **folders} == {**search.common, **data[1], **folders}
    stages = ({**s.common, **d[0], **s.pretrain["genesis"].knobs, **folders} for s, d in
              ((study, study.data["data"]), (search, data)))  # fmt: skip
    assert next(stages) == next(stages)
    tried = {(arm.init, arm.knobs["lr"]) for arm in search.arms.values()}
    assert {(arm.init, arm.knobs["lr"]) for arm in study.arms.values()} <= tried
    assert len(tried) == len({init for init, _ in tried}) * len({lr for _, lr in tried})  # the same for every arm


@pytest.mark.parametrize(
    "file", [file for file in FILES if re.search(r"table\d(_wide|_strong)?$", file.stem)], ids=lambda file: file.stem
)
def test_published_figures_stand_beside_their_arms(tmp_path, file):
    study = read(file, tmp_path)
    values = study.published["values"]
    expected = len(study.arms) * len(study.data) * len(study.budgets)
    assert len({(v["arm"], v["data"], v["budget_name"]) for v in values}) == expected
    measures = Counter(v.get("metric", study.published["metric"]) for v in values)
    assert measures == dict.fromkeys(measures, expected)
    number = re.search(r"table(\d)", file.stem)[1]
    assert list(measures) == (["genesis_dice", "genesis_iou"] if number == "3" else ["dice"])
    assert sorted([v["mean"], *([] if v["std"] is None else [v["std"]])] for v in values) == sorted(printed(number))
    # precision is a parameter and not the device's choice, so that tables do not depend on the machine
    assert study.common["amp"] is False
    scenarios = {name: arm.scenario for name, arm in study.arms.items()}
    assert set(scenarios.values()) <= {"1", "2", "3", "4"}


def printed(number):
    """The cells of a table of the paper: mean, and standard deviation where there is one."""
    table = paper_tables()[f"table{number}"]
    return [cell for row in table["rows"] for cell in row["values"]]


def test_nobody_pretrains_on_what_the_stand_in_of_figure_7_measures(tmp_path):
    """The classes' images are VOC's official validation part; all encoders see as many images."""
    study = read(BUNDLES / "studies" / "small_figure7.json", tmp_path)
    assert all(knobs["official_split"] for _, knobs in study.data.values())
    stages = {name: stage.knobs for name, stage in study.pretrain.items()}
    assert {(knobs["official_split"], knobs["batch_size"]) for knobs in stages.values()} == {(True, 16)}
    assert len({(knobs["max_epochs"], knobs["steps_per_epoch"]) for knobs in stages.values()}) == 1


@pytest.mark.parametrize("table", ["table2", "table5"])
def test_small_studies_ask_what_the_papers_ask(tmp_path, table):
    """The same arms, data sets, label budgets and published figures; the rates of all arms come from one search."""
    small, whole, rates = (
        read(BUNDLES / f"studies/{name}.json", tmp_path) for name in (f"small_{table}", table, f"small_{table}_rates")
    )
    for study in (whole, rates):
        assert {(arm.init, arm.pretrain) for arm in small.arms.values()} == {
            (arm.init, arm.pretrain) for arm in study.arms.values()
        }
        assert list(small.data) == list(study.data)
    assert small.published == whole.published
    assert [budget.name for budget in small.budgets] == [budget.name for budget in whole.budgets]
    assert not set(small.seeds) & set(rates.seeds)
    tried = {(arm.init, arm.pretrain, arm.knobs["lr"]) for arm in rates.arms.values()}
    assert {(arm.init, arm.pretrain, arm.knobs["lr"]) for arm in small.arms.values()} <= tried
    assert len(tried) == len(small.arms) * len({lr for *_, lr in tried})
    assert {name: stage.knobs for name, stage in small.pretrain.items()} == {
        name: stage.knobs for name, stage in rates.pretrain.items()
    }


def test_a_budget_may_have_fewer_seeds(tmp_path):
    study = read(BUNDLES / "studies" / "small_table2.json", tmp_path)
    seeds = {b: sorted({t.seed for t in expand(study) if t.budget_name == b}) for b in ("f0.05", "f0.2")}
    assert seeds == {"f0.05": [0, 1, 2, 3, 4], "f0.2": [0, 1, 2]}
    content = json.loads((BUNDLES / "studies" / "demo.json").read_text(encoding="utf-8"))
    for wrong, why in (
        ([], "some of the study's [0, 1, 2], got an empty list"), ([0, 3], "some of the study's [0, 1, 2], got [0, 3]"),
        (3, "some of the study's [0, 1, 2], got 3"), (["0"], "a whole number from 0 to 4294967295, got '0'"),
        ([1.0], "a whole number from 0 to 4294967295, got 1.0"), ([0, 0, 1], "one is there twice: [0, 0, 1]"),
    ):  # fmt: skip
        (tmp_path / "demo.json").write_text(json.dumps({**content, "budgets": [{"label_count": 3, "seeds": wrong}]}))
        with pytest.raises(InputError) as caught:
            read_study(tmp_path / "demo.json")
        said = why if "twice" in why else f"expected {why}"
        assert str(caught.value) == f"study {tmp_path / 'demo.json'}: budgets[0].seeds: {said}"


def test_parameters_of_official_data_are_asked_for():
    with pytest.raises(InputError, match=r"--set voc_dir=\.\.\.  the folder of Pascal VOC 2012"):
        read_study(BUNDLES / "studies" / "table5.json")


def test_lengths_and_images_of_the_papers_pretrainings():
    """Table 2: 342,900 steps on flowers; Table 4: 5,000 images of 16 a step; Table 5: no dog is held out."""
    two, four, five = (
        json.loads((BUNDLES / "studies" / f"table{n}.json").read_text(encoding="utf-8")) for n in (2, 4, 5)
    )
    flowers = two["data"]["flowers17"]["pretrain"]
    assert two["parameters"]["flowers_epochs"]["default"] * flowers["steps_per_epoch"] == 342_900
    assert two["data"]["pets"]["pretrain"]["steps_per_epoch"] == 7390 // 16
    for name in ("simclr", "reconstruction", "conrec"):
        assert four["pretrain"][name]["knobs"]["steps_per_epoch"] == 5000 // 16
    assert {pretext["knobs"]["validation_fraction"] for pretext in five["pretrain"].values()} == {0.0}
