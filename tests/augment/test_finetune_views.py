"""Fine-tuning's crops and flips: image, label and valid mask alike."""

import numpy as np
import pytest
import torch

from segxfer3d.augment import geometry
from segxfer3d.augment.finetune_views import FinetuneViews
from segxfer3d.errors import InputError
from tests.augment.counting import assert_share
from tests.augment.slow_views import generator, images, slow_resample

DRAWS = 4000


def test_finetune_views_move_image_label_and_valid_alike():
    rng = torch.rand((5, 3, 16, 16), generator=generator())
    label = (rng[:, :1] > 0.5).to(torch.uint8)
    valid = (rng[:, 1:2] > 0.1).to(torch.uint8)
    content = geometry.whole(rng)
    batch = {"image": (rng * 255).to(torch.uint8), "label": label, "valid": valid, "content": content, "index": content}
    maker = FinetuneViews((12, 10))
    drawn = maker.draw(batch["image"], generator(1))
    got = maker.apply(batch, drawn)
    assert set(got) == {"image", "label", "valid", "index"}
    assert got["label"].dtype == got["valid"].dtype == torch.uint8
    for i in range(5):
        for key, nearest in (("image", False), ("label", True), ("valid", True)):
            source = batch[key][i].double().numpy() / (255 if key == "image" else 1)
            whole = content[i].tolist()
            expected = slow_resample(source, drawn.boxes[i].tolist(), drawn.flips[i], whole, (12, 10), nearest)
            assert np.abs(got[key][i].numpy() - expected).max() < 1e-5


def test_finetune_draws():
    image = torch.zeros((DRAWS, 1, 16, 16), dtype=torch.uint8)
    drawn = FinetuneViews((16, 16)).draw(image, generator())
    share = drawn.boxes[:, 2:].prod(1) / 256
    ratio = drawn.boxes[:, 3] / drawn.boxes[:, 2]
    assert 0.5 - 1e-5 <= share.min() < 0.51
    assert share.max() <= 1 + 1e-5
    assert 0.75 - 1e-5 <= ratio.min() < 0.76
    assert 1.31 < ratio.max() <= 4 / 3 + 1e-5
    assert_share(int(drawn.flips[:, 1].sum()), DRAWS, 0.5)
    assert not drawn.flips[:, 0].any()


def test_finetune_evaluation_changes_types_and_size_only():
    batch = {
        "image": (images(2, 3, (8, 8)) * 255).to(torch.uint8),
        "label": torch.ones((2, 1, 8, 8), dtype=torch.uint8),
    }
    got = FinetuneViews((8, 8), augment=False)(batch)
    assert torch.equal(got["image"], batch["image"].float() / 255) or torch.allclose(
        got["image"], batch["image"].float() / 255
    )
    assert torch.equal(got["label"], batch["label"])
    small = FinetuneViews((4, 6), augment=False)(batch)
    assert small["image"].shape == (2, 3, 4, 6)
    assert torch.equal(small["label"], torch.ones((2, 1, 4, 6), dtype=torch.uint8))


def test_a_label_of_another_shape_is_refused():
    with pytest.raises(InputError, match="label"):
        FinetuneViews((8, 8))({"image": torch.zeros(2, 1, 8, 8), "label": torch.zeros(2, 1, 4, 4)})
