import pytest

from segxfer3d.errors import InputError
from segxfer3d.study.study_file import read_study
from tests.study.studies import BUNDLES, write

GENESIS = str(BUNDLES / "genesis_finetune.json")


def test_a_study_is_read_with_bundles_by_name_and_parameters(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "genesis_finetune.json").write_text((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
    (tmp_path / "data").mkdir()
    path = write(
        tmp_path / "studies",
        parameters={"dataset_dir": "the scans", "width": {"help": "channels", "default": 8}},
        common={"dataset_dir": "{dataset_dir}", "width": "{width}"},
        finetune={"config": "genesis_finetune", "knobs": {"recipe": "paper", "lr": 1}},
        budgets=[{"label_count": 5}, {"label_fraction": 0.5}, {}],
    )
    study = read_study(path, {"dataset_dir": str(tmp_path / "data"), "width": "4"})
    assert study.common == {"dataset_dir": str(tmp_path / "data"), "width": 4}
    assert study.finetune.knobs == {"recipe": "paper", "lr": 1.0}
    assert [(b.name, b.value) for b in study.budgets] == [("n5", 5.0), ("f0.5", 0.5), ("all", 1.0)]
    assert study.budgets[0].knobs == {"label_count": 5, "label_fraction": None}
    assert study.arms["encoder"].scenario == "2 or 4"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finetune": {"config": "genesis_fintune"}}, "no bundle 'genesis_fintune'"),
        ({"finetune": {"config": GENESIS, "knobs": {"lerning_rate": 1}}}, "no such knob in genesis_finetune"),
        ({"finetune": {"config": GENESIS, "knobs": {"max_epoch": 1}}}, "did you mean max_epochs?"),
        ({"finetune": {"config": GENESIS, "knobs": {"lr": "fast"}}}, "lr: expected a number above 0"),
        ({"finetune": {"config": GENESIS, "knobs": {"output_dir": "x"}}}, "the study's folder decides"),
        ({"finetune": {"config": GENESIS, "knobs": {"seed": 1}}}, "seeds has the seeds"),
        ({"finetune": {"config": GENESIS, "knobs": {"label_count": 1}}}, "budgets say how many labels"),
        ({"common": {"foreground_share": 0.5}}, "common.foreground_share: no such knob in genesis_pretrain"),
        ({"common": {"dataset_dir": "nowhere"}}, "no such folder: nowhere"),
        ({"common": {"width": "{breadth}"}}, "{breadth}: no such parameter"),
        ({"arms": {"random": {"init": "random"}}}, "expected at least two to compare, got 1"),
        ({"arms": {}}, "expected at least two to compare, got 0"),
        ({"arms": {"a": {"init": "random"}, "b": {"init": "encodr"}}}, "did you mean encoder?"),
        (
            {"arms": {"a": {"init": "random"}, "b": {"init": "encoder", "pretrain": "genisis"}}},
            "no pretraining 'genisis'; did you mean genesis?",
        ),
        ({"arms": {"a": {"init": "random"}, "b": {"init": "encoder"}}}, 'either "pretrain" or "checkpoint"'),
        ({"arms": {"a": {"init": "random", "pretrain": "genesis"}, "b": {"init": "random"}}}, "expects none"),
        ({"arms": {"a/b": {"init": "random"}, "b": {"init": "random"}}}, "'a/b' is no name"),
        ({"budgets": []}, "the grid is empty"),
        ({"seeds": []}, "seeds: the grid is empty"),
        ({"seeds": [1, 1]}, "one is there twice"),
        ({"seeds": ["1"]}, "seeds: expected a whole number from 0 to 4294967295, got '1'"),
        ({"seeds": [0, 2**64]}, "seeds: expected a whole number from 0 to 4294967295, got 18446744073709551616"),
        ({"pretrain_seeds": [-1]}, "pretrain_seeds: expected a whole number from 0 to 4294967295, got -1"),
        ({"folds": 10**6}, "folds: expected a whole number from 2 to 1000, got 1000000"),
        ({"finetune": {"config": GENESIS, "knobs": {"network": "unet"}}}, "knobs.network: expected one of conrec, "),
        ({"finetune": {"config": GENESIS, "knobs": {"spacing": [0, 1, 1]}}}, "knobs.spacing: expected three numbers"),
        ({"finetune": {"config": GENESIS, "knobs": {"dataset": "coco"}}}, "knobs.dataset: expected one of bids, "),
        ({"finetune": {"config": GENESIS, "knobs": {"label_map": "a"}}}, "knobs.label_map: expected pairs of whole"),
        ({"finetune": {"config": GENESIS, "knobs": {"device": "gpu"}}}, "knobs.device: expected cpu, cuda or cuda:<n>"),
        (
            {"finetune": {"config": GENESIS, "knobs": {"lr": "@run"}}},
            "lr: '@run' refers to no knob of genesis_finetune",
        ),
        ({"finetune": {"config": GENESIS, "knobs": {"lr": "@widht"}}}, "did you mean width?"),
        (
            {"finetune": {"config": GENESIS, "knobs": {"width": "@loss::name"}}},
            "width: '@loss::name' refers to no knob",
        ),
        ({"finetune": {"config": GENESIS, "knobs": {"lr": "@lr"}}}, "lr: '@lr' refers to itself"),
        ({"common": {"lr": "@width", "width": "@lr"}}, "common.lr: @width refers to it in turn"),
        ({"budgets": [{"label_count": 1}, {}]}, "two of one value"),
        ({"budgets": [{"label_count": "@batch_size"}]}, "budgets[0].label_count: expected a number, no expr"),
        (
            {"budgets": [{"label_count": 1, "label_fraction": 0.5}]},
            "arms.random, data data: label_fraction and label_count: expected one of them, got 0.5 and 1",
        ),
        (
            {
                "data": {"data": {"finetune": {"minutes": 2}}},
                "finetune": {"config": GENESIS, "knobs": {"recipe": "paper", "max_epochs": 5}},
            },
            "arms.random, data data: minutes and max_epochs: expected one of them, got 2 and 5",
        ),
        (
            {"common": {"split_file": __file__, "test_fraction": 0.2}},
            "test_fraction and split_file: expected one of them, got 0.2 and",
        ),
        ({"arm": {}}, "did you mean arms?"),
        ({"name": "a b"}, "name: expected letters"),
        ({"seeds": 3}, "seeds: expected a list"),
        ({"published": {"values": [{"arm": "simclr"}]}}, "published: no arm 'simclr'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        read_study(write(tmp_path, **changes))
    assert message in str(caught.value)


def test_a_knob_may_be_another_one(tmp_path):
    knobs = {"recipe": "paper", "warmup_fraction": "@weight_decay", "patient_pattern": "@ of mail"}
    study = read_study(write(tmp_path, finetune={"config": GENESIS, "knobs": knobs}))
    assert study.finetune.knobs == knobs


def test_one_thing_that_is_wrong_is_one_line(tmp_path):
    with pytest.raises(InputError) as caught:
        read_study(write(tmp_path, seeds=[]))
    path = tmp_path / "study.json"
    assert str(caught.value) == f"study {path}: seeds: the grid is empty, expected at least one"


def test_many_things_that_are_wrong_are_cut_short(tmp_path):
    with pytest.raises(InputError) as caught:
        read_study(write(tmp_path, **{f"key{number}": 1 for number in range(40)}))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("40 things are wrong:")
    assert (len(lines), lines[-1]) == (11, "  and 30 more")


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match="2 things are wrong") as caught:
        read_study(write(tmp_path, seeds=[], budgets=[]))
    assert "seeds" in str(caught.value)
    assert "budgets" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "--set dataset_dir=..."), ({"dataset_dir": ".", "widht": "3"}, "did you mean width?")],
)
def test_parameters_are_asked_for(tmp_path, given, message):
    path = write(tmp_path, parameters={"dataset_dir": "the scans", "width": {"default": 8}})
    with pytest.raises(InputError) as caught:
        read_study(path, given)
    assert message in str(caught.value)


def test_a_file_that_is_no_study_is_refused(tmp_path):
    for text in ("{", "[]"):
        (tmp_path / "study.json").write_text(text)
        with pytest.raises(InputError, match="study"):
            read_study(tmp_path / "study.json")
    with pytest.raises(InputError, match="not a JSON file"):
        read_study(tmp_path / "nothing.json")
