"""What the tests of refusals share: a data set of volumes, and models of it."""

import pytest

from segxfer3d.run.bundle import run_bundle
from tests.jobs.volume_sets import BUNDLES, TINY, write_dataset


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("good") / "set")


@pytest.fixture(scope="session")
def models(good, tmp_path_factory):
    """A pretrained and a fine-tuned model, tiny."""
    root = tmp_path_factory.mktemp("models")
    knobs = {**TINY, "dataset_dir": str(good)}
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(root / "p"), **knobs)
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(root / "f"), init="random", **knobs)
    return {"pretrained": str(root / "p" / "model.pt"), "finetuned": str(root / "f" / "model.pt")}
