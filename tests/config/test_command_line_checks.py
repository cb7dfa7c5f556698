"""The command-line guard: nothing a user types is ignored in silence."""

import pytest

from segxfer3d.config import command_line as guard
from segxfer3d.config import short_errors
from segxfer3d.errors import InputError

TRAIN = {"trainer": {"_target_": "X", "max_epochs": 3}}
CONFIG = {"dataset_dir": "", "init": "encoder", "resume": False, "train": TRAIN}
HEAD = ["/x/monai/bundle/__main__.py", "run", "--config_file", "a.json"]


def check(*words):
    return guard.check_command_line([*HEAD, *words], CONFIG, ["dataset_dir", "init", "resume"])


def test_known_overrides_pass():
    assert check("--init", "random", "--dataset_dir=/d") == {"init": "random", "dataset_dir": "/d"}
    assert check("--train::trainer::max_epochs", "2") == {"train::trainer::max_epochs": "2"}
    assert check("--tracking", "mlflow") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--datasetdir", "x"], "did you mean --dataset_dir"),
        (["--train.trainer", "2"], "no such knob"),
        (["--train::traner", "2"], "train::traner"),
        (["--init", "None"], "would be ignored"),
        (["--dataset_dir", "/data/a#1"], "rewrites '#'"),
        (["--resume"], "True or --resume False"),
        (["--init"], "a value is missing"),
    ],
)
def test_what_would_be_ignored_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        check(*words)


def test_quiet_when_not_started_by_run():
    assert guard.start({}, ["pytest", "--whatever"]) == {}
    assert guard.started_by_bundle_run(HEAD)
    assert not guard.started_by_bundle_run(["/x/monai/bundle/__main__.py", "ckpt_export"])


def test_root_cause_prefers_input_errors():
    error = RuntimeError("instantiating")
    error.__cause__ = InputError("the file")
    assert str(short_errors.root_cause(error)) == "the file"
