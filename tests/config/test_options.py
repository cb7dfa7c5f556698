"""Options: types, limits and help of every value that a user may turn."""

import dataclasses
import json

import pytest

from segxfer3d.config import groups, options
from segxfer3d.config.options import Group, Options, as_table, differences, infos, load_table, option
from segxfer3d.config.values import Limits
from segxfer3d.errors import InputError

ALL = [value for value in vars(groups).values() if isinstance(value, type) and issubclass(value, Group)]
GROUPS = [group for group in ALL if group is not Group]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_option_has_a_help_limits_and_a_default_that_it_allows(group):
    for name, info in infos(group).items():
        assert len(info.help) > 5, name
        if name != "output_dir":  # a bundle says where
            assert info.convert(info.default) == info.default, name
        numbers = info.type.replace(" | None", "").removeprefix("tuple[").startswith(("int", "float"))
        bounded = info.limits.most is not None or info.limits.below is not None
        assert bounded or not numbers, f"{name} has no upper limit"


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (groups.Start, {"init": "enc"}, "init: expected one of random, encoder"),
        (groups.Labels, {"label_fraction": 0}, "label_fraction: expected a number above 0 and at most 1, or none"),
        (groups.Labels, {"label_fraction": 0.1, "label_count": 2}, "expected one of them, got 0.1 and 2"),
        (groups.Training, {"max_epochs": 1.5}, "max_epochs: expected a whole number from 1 to 1000000000"),
        (groups.Training, {"num_workers": 5000}, "num_workers: expected a whole number from 0 to 256"),
        (groups.Training, {"lr": float("nan")}, "lr: expected a number above 0"),
        (groups.Training, {"seed": True}, "seed"),
        (groups.Training, {"seed": "1"}, "seed"),
        (groups.Volumes, {"patch_size": [0, 8, 8]}, "three whole numbers up to 1024"),
        (groups.Volumes, {"patch_size": "8"}, "three whole numbers up to 1024"),
        (groups.Volumes, {"spacing": [1, 1]}, "expected three numbers of millimeters from 0.00001 to 1000, or none"),
        (groups.Volumes, {"spacing": [1e-6, 1, 1]}, "spacing: expected three numbers of millimeters from 0.00001"),
        (groups.Data, {"label_map": "1:a"}, "label_map: expected pairs of whole numbers such as 255:1"),
        (groups.Run, {"output_dir": "x", "device": "gpu"}, "device: expected cpu, cuda or cuda:<n>, got 'gpu'"),
        (groups.Volumes, {"window_low": 5, "window_high": 1}, "window_low: expected less than window_high"),
        (groups.Run, {"output_dir": "x", "amp": "yes"}, "amp: expected True or False"),
        (groups.Run, {"output_dir": ""}, "output_dir: expected a folder"),
        (groups.Data, {"patient_pattern": "("}, "patient_pattern: expected a regular expression"),
        (groups.Data, {"dataset_dir": None}, "dataset_dir: expected a folder, or nothing"),
    ],
)
def test_bad_values_name_their_option(group, values, message):
    with pytest.raises(InputError, match=message):
        group(**values)


def test_all_bad_values_are_named_at_once():
    with pytest.raises(InputError, match=r"max_epochs: .*; lr: "):
        groups.Training(max_epochs=0, lr=-1)


def test_values_get_their_types():
    assert groups.Data(dataset_dir=2024).dataset_dir == "2024"
    assert groups.Training(max_epochs=3.0).max_epochs == 3
    assert groups.Volumes(patch_size=[16, 16, 8]).patch_size == (16, 16, 8)
    assert groups.Volumes(spacing=None).spacing is None
    assert isinstance(groups.Training(lr=1).lr, float)
    assert groups.Data(dataset_dir="~/x").dataset_dir.endswith("/x")
    assert "~" not in groups.Data(dataset_dir="~/x").dataset_dir


def test_options_are_read_by_group_and_by_name():
    filled = Options("job", [groups.Run(output_dir="runs/1"), groups.Volumes()])
    assert filled[groups.Volumes].patch_size == (64, 64, 32)
    assert filled.values["patch_size"] == [64, 64, 32]
    assert json.loads(json.dumps(filled.values)) == filled.values
    assert filled.find(groups.Training) is None
    with pytest.raises(KeyError, match="job takes no options of Training"):
        filled[groups.Training]


def test_runs_differ_where_a_result_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled = Options("job", [groups.Training(lr=0.1, num_workers=2), groups.Data(dataset_dir="d")])
    assert differences({**filled.values, "num_workers": 0, "dataset_dir": str(tmp_path / "d")}, filled) == []
    assert differences({**filled.values, "lr": 0.2}, filled) == ["lr 0.2, not 0.1"]


def test_one_name_is_one_option():
    @dataclasses.dataclass(frozen=True)
    class Other(Group):
        lr: float = option(0.5, "another learning rate", above=0, most=1)

    with pytest.raises(InputError, match="option lr: Other has another one of this name"):
        as_table([groups.Training, Other])


def test_the_table_in_json_says_what_the_groups_say():
    table = load_table()
    for group in GROUPS:
        for name, info in infos(group).items():
            read = dataclasses.replace(table[name], default=info.default)
            if name == "dataset":  # names the layouts too, which its group does not know; see the layouts' contract
                read = dataclasses.replace(read, help=info.help)
            if name in ("dataset", "extra_dataset", "network"):  # and the names that they may have, for studies
                choices = read.limits.choices
                assert {"", "voc"} <= set(choices) or {"resenc_unet", "resnet50"} <= set(choices)
                read = dataclasses.replace(
                    read, limits=dataclasses.replace(read.limits, choices=(), text=info.limits.text)
                )
            assert read == info, name


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "options.json"
    path.write_text('{"lr": {"type": "float", "limits": {"odd": 1}}}')
    with pytest.raises(InputError, match=r"options\.json: the table of options cannot be read"):
        load_table(path)
    assert options.load_table is load_table


def test_limits_are_said_in_words():
    assert infos(groups.Training)["seed"].expected == "a whole number from 0 to 4294967295"
    assert infos(groups.Labels)["label_count"].expected.endswith(", or none")
    assert Limits.from_dict({"choices": ["a"]}).choices == ("a",)
