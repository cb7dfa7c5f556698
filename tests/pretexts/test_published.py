"""What the default bundles train with is ConRec's published training: expected figures and tolerances, from outside."""

import json

import pytest
import torch
from monai.bundle import ConfigParser

from segxfer3d.config.bundles import compose
from segxfer3d.run.bundle import run_bundle
from tests.compatibility.names import BUNDLES
from tests.pretexts.pretexts import RECIPES

IMAGES = [name for name, recipe in RECIPES.items() if recipe.dims == 2]
SELF_SUPERVISED = [name for name in IMAGES if name not in ("classification", "segmentation")]
DRAWS = 2000


def component(name, entry, **changes):
    """A component of a bundle as its defaults make it."""
    bundle = compose(RECIPES[name]) | changes
    needed = {key: value for key, value in bundle.items() if not isinstance(value, dict) or key == entry}
    return ConfigParser(needed).get_parsed_content(entry)


@pytest.fixture(scope="module")
def view():
    """Views of a constant color, as the default bundle draws them."""
    torch.manual_seed(0)
    image = torch.tensor([0.4, 0.15, 0.1]).view(1, 3, 1, 1).expand(DRAWS, 3, 64, 64).contiguous()
    return component("conrec", "views", image_size=64)({"image": image})


@pytest.mark.parametrize("name", IMAGES)
def test_the_rate_is_constant(name):
    bundle = compose(RECIPES[name])
    assert bundle["schedule"] == "constant"
    assert (bundle["optimizer_name"] == "lars") == (name in SELF_SUPERVISED)


@pytest.mark.filterwarnings("ignore:parsing config_file", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_rate_of_a_run_is_that_of_16_images_at_every_epoch(tmp_path):
    run_bundle(
        BUNDLES / "conrec_pretrain.json", output_dir=str(tmp_path / "run"), generated_images=20, image_size=16, width=2,
        max_epochs=4, steps_per_epoch=1, monitor_interval=0, device="cpu", progress=False, amp=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["lr"] for line in lines] == pytest.approx([0.3] * 4, abs=1e-6)
    for line in lines:
        errors = sum(value for key, value in line.items() if key.startswith("loss_") and key != "loss_contrast")
        assert (line["loss"] - 100 * errors) / line["loss_contrast"] == pytest.approx(2, abs=0.02)


def test_saturation_and_blur_of_a_single_color(view):
    inside = view.image[:, :, 32, 32]
    assert inside.max() <= 1.8 * 0.4 + 1e-5
    corner = view.image[:, 0, 0, 0] / inside[:, 0].clamp(min=1e-6)
    blurred = float((corner < 0.99).double().mean())
    assert blurred / 0.5 > 0.8  # of the half that is blurred


def test_corruption_of_the_default_bundle():
    torch.manual_seed(1)
    where = component("conrec", "corruption")(torch.zeros(DRAWS, 3, 64, 64)).where.flatten(1).mean(1)
    assert float((where == 0).double().mean()) == pytest.approx(0.02, abs=0.012)
    assert float(where.mean()) == pytest.approx((0.113 + 0.089 + 0.366) / 3, abs=0.012)


def test_crops_of_the_default_bundle():
    torch.manual_seed(2)
    rows = torch.linspace(0, 1, 256).view(1, 1, 256, 1).expand(DRAWS, 1, 256, 256)
    columns = rows.transpose(2, 3)
    make = component("conrec", "views", image_size=64)
    make.flip_axes = ()
    plain = make({"image": torch.cat([rows, columns, rows], 1)}).plain
    tall = (plain[:, 0, -1, 0] - plain[:, 0, 0, 0]) * 255 / 256 * 64 / 63  # the last pixel is no crop's last row
    wide = (plain[:, 1, 0, -1] - plain[:, 1, 0, 0]) * 255 / 256 * 64 / 63
    area = tall * wide
    assert area.min() > 0.093
    assert float(area.mean()) == pytest.approx(0.420, abs=0.02)
    assert float((area < 0.25).double().mean()) == pytest.approx(0.304, abs=0.035)
