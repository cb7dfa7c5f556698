"""Models that started from a checkpoint: what that one was trained on, they have seen too, and say so."""

import shutil

import pytest

from segxfer3d.data.synthetic.images import write_images
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from segxfer3d.weights.summary import summarize
from tests.jobs.image_runs import TINY, finetune, read, run
from tests.jobs.volume_sets import BUNDLES, MARKS, write_dataset
from tests.jobs.volume_sets import TINY as TINY_VOLUMES
from tests.training.test_resume import stop_at

pytestmark = MARKS
QUICK = {"max_epochs": 1, "steps_per_epoch": 1}
START = "warning: through its start, "


@pytest.fixture(scope="module")
def chain(shapes, tmp_path_factory):
    """A pretraining with the masks of some images, and a fine-tuning from it on others."""
    root = tmp_path_factory.mktemp("chain")
    others = write_images(root, 20, size=24, seed=9).rename(root / "others")
    run("segmentation_pretrain", root / "p", dataset_dir=str(shapes), validation_fraction=0, **QUICK)
    start = {"checkpoint": str(root / "p" / "model.pt"), "init": "whole"}
    finetune(root / "f", dataset_dir=str(others), **start, **QUICK)
    return root


def evaluated(folder, model, data, caplog, **knobs):
    caplog.clear()
    caplog.set_level("INFO")
    run_bundle(
        BUNDLES / "evaluate.json", output_dir=str(folder), dataset_dir=str(data), part="all", checkpoint=str(model),
        progress=False, device="cpu", **knobs,
    )  # fmt: skip
    return [message for message in caplog.messages if message.startswith("warning: ")]


def test_a_model_keeps_what_its_start_was_trained_on(chain, shapes, tmp_path, caplog):
    pretrained, finetuned = (checkpoint.read_model(chain / name / "model.pt")["provenance"] for name in "pf")
    (start,) = finetuned["started_from"]
    assert {name: start[name] for name in ("job", "data", "patients", "contents")} == {
        name: pretrained[name] for name in ("job", "data", "patients", "contents")
    }
    assert len(start["contents"]) == 30
    said = summarize(chain / "f" / "model.pt")
    assert said[-1] == f"started from: segmentation_pretrain of {shapes.name} (30 cases with masks)"
    assert not any("started_from" in line for line in said)
    assert evaluated(tmp_path / "e", chain / "f" / "model.pt", shapes, caplog, label_count=4) == [
        f"{START}the model was trained, with their masks, on 30 of these images: not an honest figure"
    ]
    assert evaluated(tmp_path / "o", chain / "f" / "model.pt", chain / "others", caplog, label_count=4) == [
        "warning: 4 of these patients' labels were used to train the model: not an honest figure"
    ]


@pytest.mark.parametrize("init", ["encoder+decoder", "frozen-encoder"])
def test_a_finetuning_hears_of_all_before_it(init, chain, shapes, tmp_path):
    knobs = {"dataset_dir": str(shapes), "checkpoint": str(chain / "f" / "model.pt"), "init": init}
    finetune(tmp_path / "run", **knobs, **QUICK)
    (note,) = read(tmp_path / "run", "transfer.json")["notes"]
    assert note.startswith(f"{START}this checkpoint was trained on 26 of the 26 test images, with their masks; ")
    starts = checkpoint.read_model(tmp_path / "run" / "model.pt")["provenance"]["started_from"]
    assert [(start["job"], start["init"]) for start in starts] == [
        ("unet2d_finetune", "whole"), ("segmentation_pretrain", ""),
    ]  # fmt: skip


def test_a_start_without_masks_on_copies(shapes, tmp_path, caplog):
    shutil.copytree(shapes / "images", tmp_path / "copies")
    run("conrec_pretrain", tmp_path / "p", dataset_dir=str(tmp_path / "copies"), validation_fraction=0, **QUICK)
    start = {"checkpoint": str(tmp_path / "p" / "model.pt"), "init": "encoder"}
    finetune(tmp_path / "f", dataset_dir=str(shapes), **start, **QUICK)
    own, through = evaluated(tmp_path / "e", tmp_path / "f" / "model.pt", shapes, caplog, label_count=4)
    assert own.startswith("warning: 4 of these patients' labels were used")
    assert through == (
        f"{START}the model was trained, without their masks, on 30 of these images: the same pixels, in the data set "
        "copies: not an honest figure"
    )


def test_random_starts_note_none(shapes, tmp_path):
    finetune(tmp_path / "run", dataset_dir=str(shapes), init="frozen-random", **QUICK)
    assert "started_from" not in checkpoint.read_model(tmp_path / "run" / "model.pt")["provenance"]


def test_a_run_that_goes_on_notes_the_same(chain, shapes, tmp_path, monkeypatch):
    knobs = {**TINY, "dataset_dir": str(shapes), "checkpoint": str(chain / "f" / "model.pt"), "init": "encoder"}
    finetune(tmp_path / "whole", **knobs)
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            finetune(tmp_path / "run", **knobs)
    finetune(tmp_path / "run", **knobs, resume=True)
    whole, again = (checkpoint.read_model(tmp_path / name / "model.pt")["provenance"] for name in ("whole", "run"))
    assert len(whole["started_from"]) == 2
    assert whole == again


def test_volumes(tmp_path, caplog):
    data, others = write_dataset(tmp_path / "set", patients=6), write_dataset(tmp_path / "others")
    shutil.copytree(data / "imagesTr", tmp_path / "copy")
    quick = {**TINY_VOLUMES, **QUICK}
    knobs = {"dataset_dir": str(tmp_path / "copy"), "validation_fraction": 0.0}
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(tmp_path / "p"), **quick, **knobs)
    knobs = {"dataset_dir": str(others), "init": "encoder", "checkpoint": str(tmp_path / "p" / "model.pt")}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "f"), **quick, **knobs, overlap=0.0)
    assert evaluated(tmp_path / "e", tmp_path / "f" / "model.pt", data, caplog, overlap=0.0)[-1] == (
        f"{START}the model was trained, without their masks, on 6 of these volumes: the same voxels, in the data set "
        "copy: not an honest figure"
    )
