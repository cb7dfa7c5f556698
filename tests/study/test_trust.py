"""Files from others run nothing, unless they are trusted."""

import json
import shutil

import pytest

from segxfer3d.errors import InputError
from segxfer3d.study import trust
from segxfer3d.study.search_file import read_search
from segxfer3d.study.study_file import read_study
from segxfer3d.study.trials import read_trials
from tests.cli.test_cli import call
from tests.study.studies import BUNDLES, content, plan, write
from tests.study.studies import ran as run_study

CODE = "$__import__('pathlib').Path('ran').touch()"


@pytest.mark.parametrize("value", [CODE, "%/etc/hostname", "$@lr * 2"])
@pytest.mark.parametrize("where", ["common", "finetune", "pretrain", "arms", "data"])
def test_a_study_file_sets_plain_values_only(tmp_path, where, value):
    study = content(common={}, data={"here": {"finetune": {}}})
    part = {
        "common": study["common"], "finetune": study["finetune"]["knobs"], "data": study["data"]["here"]["finetune"],
        "pretrain": study["pretrain"]["genesis"]["knobs"], "arms": study["arms"]["random"].setdefault("knobs", {}),
    }[where]  # fmt: skip
    part["weight_decay"] = value
    path = write(tmp_path, **study)
    with pytest.raises(InputError, match=r"weight_decay: .* is .*, which MONAI would run; --trust runs it"):
        read_study(path)
    with trust.everything():
        assert read_study(path).name == "small"
    with pytest.raises(InputError, match="which MONAI would run"):
        read_study(path)


def test_a_parameter_is_no_way_around(tmp_path):
    study = content()
    study["finetune"]["knobs"]["weight_decay"] = "{decay}"
    path = write(tmp_path, parameters={"decay": {"help": "decay", "default": CODE}}, **study)
    with pytest.raises(InputError, match="which MONAI would run"):
        read_study(path)
    assert read_study(path, {"decay": "$None"}).finetune.knobs["weight_decay"] == "$None"


def test_bundles_of_the_package_or_with_the_file(tmp_path):
    study = content()
    copied = shutil.copy(BUNDLES / "genesis_finetune.json", tmp_path / "genesis_finetune.json")
    study["finetune"]["config"] = str(copied)
    assert read_study(write(tmp_path / "elsewhere" / "deep", **study))  # the same to the byte
    own = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8")) | {"description": "mine"}
    (tmp_path / "genesis_finetune.json").write_text(json.dumps(own), encoding="utf-8")
    assert read_study(write(tmp_path, **study))  # beside it
    (tmp_path / "below").mkdir()
    below = shutil.copy(tmp_path / "genesis_finetune.json", tmp_path / "below" / "mine.json")
    message = r"finetune\.config: the bundle .*\.json is neither one of this package nor in the folder of the file"
    for folder, config in (
        (tmp_path / "studies", "genesis_finetune"), (tmp_path / "elsewhere" / "deep", str(copied)),
        (tmp_path, "below/mine.json"), (tmp_path, str(below)),
    ):  # fmt: skip
        study["finetune"]["config"] = config
        path = write(folder, **study)
        with pytest.raises(InputError, match=message):
            read_study(path)
        with trust.everything():
            assert read_study(path)


def test_a_search_file_too(tmp_path):
    search = {
        "name": "mine", "config": str(BUNDLES / "genesis_pretrain.json"), "knobs": {"weight_decay": CODE},
        "search": {"lr": {"low": 1e-4, "high": 1e-2}}, "metric": "loss", "direction": "minimize",
        "trials": 2, "seed": 0,
    }  # fmt: skip
    path = tmp_path / "search.json"
    path.write_text(json.dumps(search), encoding="utf-8")
    with pytest.raises(InputError, match="which MONAI would run"):
        read_search(path)


def changed(study, **entries):
    path = study / "trials.json"
    trials = json.loads(path.read_text(encoding="utf-8"))
    for name, value in entries.items():
        trials[0][name] = {**trials[0]["knobs"], **value} if name == "knobs" else value
    path.write_text(json.dumps(trials), encoding="utf-8")
    return path


@pytest.mark.parametrize("place", ["../outside", "/tmp/outside", "finetune/../../x", ""])
def test_trials_stay_inside_the_study(tmp_path, place):
    folder = run_study(tmp_path)
    changed(folder, folder=place)
    with pytest.raises(InputError, match=r"trials\.json: .*: folder '.*' is not inside the study's"):
        read_trials(folder)
    assert call("study", "status", folder)[0] == 1


def test_trials_from_somewhere_run_no_code(tmp_path):
    folder = run_study(tmp_path)
    assert len(read_trials(folder, to_run=True)) == 5
    mine = tmp_path / "mine.json"
    mine.write_text("{}", encoding="utf-8")
    for entries, message in (
        ({"knobs": {"weight_decay": CODE}}, "weight_decay .* is Python code, which MONAI would run"),
        ({"config": str(mine)}, r"the bundle .*mine\.json is none of this package, and a bundle is code; --trust"),
    ):
        before = (folder / "trials.json").read_text(encoding="utf-8")
        path = changed(folder, **entries)
        with pytest.raises(InputError, match=message):
            read_trials(folder, to_run=True)
        assert len(read_trials(folder)) == 5  # to be looked at
        status, text = call("study", "trial", folder, "random-n2-s0")
        assert (status, "--trust" in text) == (1, True), text
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("damage", ["[3]", '[{"id": "a"}]', "{}", '"x"', "[" * 100_000, "[null]"])
def test_damaged_lists_of_trials_are_named(tmp_path, damage):
    _, _ = plan(tmp_path / "file")
    (tmp_path / "trials.json").write_text(damage, encoding="utf-8")
    with pytest.raises(InputError, match=r"trials\.json: damaged"):
        read_trials(tmp_path)


def test_the_command_trusts_for_its_own_time_only(tmp_path):
    study = content()
    study["finetune"]["knobs"]["weight_decay"] = "$1e-5"
    path = write(tmp_path, **study)
    words = ("study", "run", path, "-o", tmp_path / "out", "--dry-run", "--no-timing")
    status, text = call(*words)
    assert (status, "which MONAI would run" in text) == (1, True), text
    assert call(*words, "--trust")[0] == 0
    assert call(*words)[0] == 1


@pytest.mark.parametrize(
    "value",
    [
        ["$1 + 1"], [["a", " $1 + 1"]], {"_target_": "builtins.print"}, [{"a": 1}],
        "'$1 + 1'", '"$1 + 1"', "['$1 + 1']",
        "{'_target_': 'builtins.print'}", "'\\x241 + 1'", "\"'$1 + 1'\"", "'%file'",
    ],
)  # fmt: skip
def test_values_are_looked_at_as_a_command_line_reads_them(value):
    assert trust.HINT in trust.knob_problem("dataset", value)
    with trust.everything():
        assert not trust.knob_problem("dataset", value)


@pytest.mark.parametrize(
    "value", ["_(t1|flair)$", "(P\\d+)_", "$None", None, 0.5, [1, 2, 3], "'quoted'", "100 %", "{3}"]
)
def test_plain_values(value):
    assert not trust.knob_problem("dataset", value)


def test_a_knob_that_names_a_bundle_names_one_of_this_package(tmp_path):
    evil = tmp_path / "evil.json"
    evil.write_text("{}", encoding="utf-8")
    assert "none of this package" in trust.knob_problem("pretrain_config", str(evil))
    assert "no such file" in trust.knob_problem("pretrain_config", "nowhere.json")
    assert not trust.knob_problem("pretrain_config", str(evil), tmp_path)
    for plain in ("", "$None", "genesis_pretrain", str(BUNDLES / "genesis_pretrain.json")):
        assert not trust.knob_problem("pretrain_config", plain)


def test_trials_set_knobs_and_no_parts_of_a_bundle(tmp_path):
    folder = run_study(tmp_path)
    changed(folder, knobs={"initialize": ["now"], "optimizer::_target_": "builtins.print"})
    with pytest.raises(InputError, match=r"bundles is called 'initialize', 'optimizer::_target_'; --trust"):
        read_trials(folder, to_run=True)
