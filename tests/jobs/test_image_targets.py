"""Targets of images: small ones never make a case empty, masks without any are refused."""

import numpy as np
import pytest

from segxfer3d.run.bundle import run_bundle
from tests.data.image_files import noise, save
from tests.jobs.image_runs import TINY, finetune, lines, rows
from tests.jobs.test_bad_volumes import refused
from tests.jobs.test_volumes import pytestmark
from tests.jobs.volume_sets import BUNDLES

__all__ = ["pytestmark"]

KNOBS = {**TINY, "init": "random", "label_count": 4}


def spots(root, small, count=12):
    """Images with a target of 20 x 20 pixels each, the last ``small`` of a single one that 16 pixels a side lose."""
    for number in range(count):
        mask = np.zeros((64, 64), np.uint8)
        if number < count - small:
            mask[20:40, 20:40] = 255
        else:
            mask[21, 21] = 255
        save(root / "images" / f"{number:02}.png", noise(mask.shape, seed=number))
        save(root / "masks" / f"{number:02}.png", mask)
    return root


def test_few_small_targets_keep_a_pixel_and_are_said(tmp_path, caplog):
    root = spots(tmp_path / "set", 2)
    with caplog.at_level("INFO", "segxfer3d"):
        finetune(tmp_path / "run", dataset_dir=str(root), label_count=4)
    assert "warning: image_size 16: in 2 of 12 images with a target one vanishes at this size" in caplog.text
    assert "--image_size 64 keeps about all" in caplog.text
    table = rows(tmp_path / "run")
    assert {row["empty_label"] for row in table} == {"0"}
    assert all(float(row["label_pixels"]) > 0 for row in table)
    assert len(lines(tmp_path / "run")) == 2
    caplog.clear()
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(
            BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), dataset_dir=str(root), label_count=4,
            checkpoint=str(tmp_path / "run" / "model.pt"), progress=False, device="cpu",
        )  # fmt: skip
    assert {row["empty_label"] for row in rows(tmp_path / "e")} == {"0"}


@pytest.mark.parametrize("bundle", ["unet2d_finetune", "segmentation_pretrain"])
def test_many_small_targets_are_refused(tmp_path, bundle):
    root = spots(tmp_path / "set", 6)
    knobs = KNOBS if bundle == "unet2d_finetune" else {**TINY, "validation_fraction": 0.1, "canvas_size": 16}
    refused(
        bundle,
        tmp_path,
        r"image_size 16: in \d+ of \d+ images .* --image_size 64 keeps",
        **knobs,
        dataset_dir=str(root),
    )


def test_masks_without_any_target_are_refused(tmp_path):
    root = spots(tmp_path / "set", 0)
    message = r"set: not one of 12 labels has a target \(3\)"
    refused("unet2d_finetune", tmp_path, message, **KNOBS, dataset_dir=str(root), target="3")
    for path in (root / "masks").iterdir():
        path.unlink()
    for number in range(12):
        mask = np.zeros((64, 64), np.uint8)
        mask[20:40, 20:40] = 1
        save(root / "masks" / f"{number:02}.jpg", mask, quality=95)
    message = r"not one of 12 labels has a target \(foreground\); 12 are JPEGs, in which 0 and 1 cannot be told apart"
    for bundle, knobs in (("unet2d_finetune", KNOBS), ("segmentation_pretrain", TINY)):
        refused(bundle, tmp_path, message, **knobs, dataset_dir=str(root))


def test_a_copy_of_what_was_trained_on_is_no_honest_test(tmp_path, caplog):
    root = spots(tmp_path / "set", 0)
    finetune(tmp_path / "run", dataset_dir=str(root), label_count=4)
    root.rename(tmp_path / "renamed")
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(
            BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), dataset_dir=str(tmp_path / "renamed"),
            part="all", label_count=4, checkpoint=str(tmp_path / "run" / "model.pt"), progress=False, device="cpu",
        )  # fmt: skip
    assert "4 of these images trained the model: the same pixels, in the data set set: not an honest" in caplog.text
