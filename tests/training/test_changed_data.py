"""A run goes on with what it was started with; anything else is refused by name, and nothing recorded changes."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs import image_runs
from tests.jobs.test_bad_volumes import TINY, pytestmark
from tests.jobs.volume_sets import AFFINE, SHAPE, image, label, labels, write_dataset
from tests.training.test_resume import run, stop_at

__all__ = ["pytestmark"]

KNOBS = {**TINY, "patch_size": [16, 16, 16], "max_epochs": 3, "num_workers": 0}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Data sets, and runs on them that were stopped in their second epoch; by the bundle's name."""
    root = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        for name in ("genesis_pretrain", "genesis_finetune"):
            data = write_dataset(root / name / "set", patients=6)
            with pytest.raises(KeyboardInterrupt):
                run(name, root / name / "run", KNOBS, dataset_dir=str(data))
    return root


@pytest.fixture
def again(stopped, tmp_path):
    """Copies the data set and the run of a bundle to a folder of this test; gives a function that goes on with it."""

    def copied(name):
        shutil.copytree(stopped / name, tmp_path / name)
        where = tmp_path / name
        described = where / "run" / "run.json"
        text = described.read_text(encoding="utf-8").replace(str(stopped), str(tmp_path))
        described.write_text(text, encoding="utf-8")
        return where / "set", lambda **more: run(
            name, where / "run", KNOBS, dataset_dir=str(where / "set"), resume=True, **more
        )

    return copied


def added(root):
    for number in range(6, 12):
        write_nifti(root / "imagesTr" / f"p{number}.nii.gz", ct(SHAPE, number), AFFINE)
        write_nifti(root / "labelsTr" / f"p{number}.nii.gz", label(), AFFINE)


def gone(root):
    image(root).unlink()
    labels(root).unlink()


def other_image(root):
    write_nifti(image(root), ct(SHAPE, 99), AFFINE)


def elsewhere(root):
    moved = AFFINE.copy()
    moved[0, 3] += 7
    write_nifti(image(root), ct(SHAPE, 1), moved)
    write_nifti(labels(root), label(), moved)


def other_label(root):
    write_nifti(labels(root), np.roll(label(), 1, 0), AFFINE)


def other_modality(root):
    pairs = [{"image": f"imagesTr/p{i}.nii.gz", "label": f"labelsTr/p{i}.nii.gz"} for i in range(6)]
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "lung"}, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


CHANGES = {
    "cases added": (added, r"else: 6 cases were not there before \(p10, p11, p6, .*split: of test \d came"),
    "a case gone": (gone, r"else: 1 case is not there any more \(p1\); split: of \w+ .*1 went \(p1\)"),
    "another image": (other_image, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another place": (elsewhere, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another label": (other_label, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another modality": (other_modality, r"data: classes .*data: modality \[.*\], not \[\"MR\"\]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_data_are_refused_by_name_and_nothing_is_touched(again, change):
    root, go_on = again("genesis_finetune")
    alter, message = CHANGES[change]
    alter(root)
    before = contents(root.parent / "run")
    with pytest.raises(InputError) as caught:
        go_on()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert contents(root.parent / "run") == before
    if "same cases" not in message:  # what changes a part cannot be accepted
        with pytest.raises(InputError, match="Bring back what it was, or start a new run"):
            go_on(accept_changed_data=True)
        assert contents(root.parent / "run") == before


def test_a_pretraining_looks_at_its_images(again):
    root, go_on = again("genesis_pretrain")
    other_image(root)
    with pytest.raises(InputError, match=r"1 case has other values \(p1\)"):
        go_on()


def test_changed_values_can_be_accepted_and_that_is_kept(again):
    root, go_on = again("genesis_finetune")
    kept = {name: (root.parent / "run" / name).read_bytes() for name in ("made_from.json", "split.json", "labels.json")}
    other_label(root)
    go_on(accept_changed_data=True)
    assert (root.parent / "run" / "model.pt").is_file()
    assert {name: (root.parent / "run" / name).read_bytes() for name in kept} == kept
    (entry,) = json.loads((root.parent / "run" / "accepted.json").read_text(encoding="utf-8"))
    assert entry["changed"] == ["1 case has other values (p1)"]
    first = json.loads(kept["made_from.json"])["cases"]
    assert {name for name in first if first[name] != entry["cases"][name]} == {"p1"}
    assert first["p1"][0] == entry["cases"]["p1"][0]  # the image is the same
    go_on()  # nothing is another than what was accepted
    other_image(root)
    with pytest.raises(InputError, match=r"It is finished, so nothing of it changes; evaluate measures its model"):
        go_on(accept_changed_data=True)


def test_what_the_bundle_is_made_of_is_compared_too(again):
    root, go_on = again("genesis_finetune")
    before = contents(root.parent / "run")
    with pytest.raises(InputError, match=r"configuration: loss \{.*, not \{\"_target_\": \"monai\.losses\.Dice"):
        go_on(loss={"_target_": "monai.losses.DiceLoss", "sigmoid": True})
    assert contents(root.parent / "run") == before


def test_another_checkpoint_under_the_same_name(stopped, tmp_path, monkeypatch):
    root = stopped / "genesis_finetune" / "set"
    pretrained = {**KNOBS, "dataset_dir": str(root), "max_epochs": 1}
    for seed in (0, 1):
        run("genesis_pretrain", tmp_path / f"pretrained{seed}", pretrained, seed=seed)
    knobs = {**KNOBS, "dataset_dir": str(root), "checkpoint": str(tmp_path / "model.pt")}
    shutil.copy(tmp_path / "pretrained0" / "model.pt", tmp_path / "model.pt")
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            finetune(tmp_path / "run", knobs)
    shutil.copy(tmp_path / "pretrained1" / "model.pt", tmp_path / "model.pt")
    with pytest.raises(
        InputError, match=r"started with something else: checkpoint [0-9a-f.]{60}, not [0-9a-f.]{60}\. Br"
    ):
        finetune(tmp_path / "run", knobs, resume=True)
    content = torch.load(tmp_path / "pretrained0" / "model.pt", weights_only=False)
    torch.save(content, tmp_path / "model.pt")  # another file of the same weights
    finetune(tmp_path / "run", knobs, resume=True)
    assert checkpoint.read_model(tmp_path / "run" / "model.pt")


def finetune(folder, knobs, **more):
    from segxfer3d.run.bundle import run_bundle
    from tests.jobs.volume_sets import BUNDLES

    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **{**knobs, "init": "encoder", **more})


def test_a_run_of_an_earlier_version_goes_on_and_keeps_it_from_then(again):
    root, go_on = again("genesis_finetune")
    path = root.parent / "run" / "made_from.json"
    before = path.read_bytes()
    path.unlink()
    go_on()
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cases": 3}'])
def test_a_damaged_record_is_named(again, text):
    root, go_on = again("genesis_finetune")
    (root.parent / "run" / "made_from.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"made_from\.json: damaged|cases 3, not \{"):
        go_on()


@pytest.mark.parametrize("name", ["unet2d_finetune", "segmentation_pretrain", "classification_pretrain"])
def test_images_and_their_masks(name, tmp_path, shapes, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(shapes, root)
    more = {"init": "random", "label_count": 4} if "finetune" in name else {}
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            image_runs.run(name, tmp_path / "run", dataset_dir=str(root), **more)
    made_from = json.loads((tmp_path / "run" / "made_from.json").read_text(encoding="utf-8"))
    fields = {"unet2d_finetune": 2, "segmentation_pretrain": 2, "classification_pretrain": 3}[name]
    assert {len(entry) for entry in made_from["cases"].values()} == {fields}
    folder = "images" if "classification" in name else "masks"
    path = sorted((root / folder).rglob("*.png"))[0]
    with Image.open(path) as picture:
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned.save(path)
    with pytest.raises(InputError, match=rf"1 case has other values \(.*{path.stem}\)"):
        image_runs.run(name, tmp_path / "run", dataset_dir=str(root), resume=True, **more)
