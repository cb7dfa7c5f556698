"""``--tracking mlflow``: what it records is what the run records; without mlflow it is refused."""

import importlib.util
import json
import re

import pytest

from segxfer3d.config import command_line as guard
from segxfer3d.errors import InputError, installed_with
from segxfer3d.run.bundle import run_bundle
from tests.jobs.test_bad_volumes import BUNDLES, TINY, pytestmark, write_dataset

pytestmark = [*pytestmark, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def test_mlflow_is_asked_for_and_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    argv = ["/x/monai/bundle/__main__.py", "run", "--config_file", str(BUNDLES / "genesis_finetune.json")]
    with pytest.raises(InputError, match=re.escape(f"mlflow is not installed; {installed_with('mlflow')}")):
        guard.start({}, [*argv, "--tracking", "mlflow"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "figure"), [("genesis_pretrain", "loss"), ("genesis_finetune", "dice")])
def test_mlflow_records_both_kinds_of_training(name, figure, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = write_dataset(tmp_path / "set")
    folder = tmp_path / "run"
    knobs = {**TINY, "dataset_dir": str(root), "output_dir": str(folder), "validation_interval": 1}
    if name == "genesis_finetune":
        knobs["init"] = "random"
    run_bundle(BUNDLES / f"{name}.json", tracking="mlflow", **knobs)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns.db'}")
    (run,) = client.search_runs(client.get_experiment_by_name("segxfer3d").experiment_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["max_epochs"] == "2"
    history = {key: client.get_metric_history(run.info.run_id, key) for key in ("train_loss", "lr_group_0", figure)}
    losses = [metric.value for metric in history["train_loss"]]
    assert [metric.step for metric in history["train_loss"]] == [1, 2, 3, 4]
    assert [sum(losses[:2]) / 2, sum(losses[2:]) / 2] == pytest.approx([line["loss"] for line in lines], rel=1e-5)
    found = [(metric.step, metric.value) for metric in history[figure]]
    assert found == [(line["epoch"], pytest.approx(line[f"validation_{figure}"])) for line in lines]
    assert [metric.step for metric in history["lr_group_0"]] == [1, 2, 3, 4]
    assert not list(tmp_path.glob("**/config_*.json"))
