"""A run on images goes on with the images and masks that it was started with."""

import json
import shutil

import pytest
from PIL import Image

from segxfer3d.errors import InputError
from tests.jobs import image_runs
from tests.jobs.test_bad_volumes import pytestmark
from tests.training.test_resume import stop_at

__all__ = ["pytestmark"]


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
