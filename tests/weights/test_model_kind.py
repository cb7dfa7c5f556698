"""Entries of a model file that no run writes: refused by name, whichever it is."""

import copy

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.inference.model import load_model
from segxfer3d.weights import checkpoint
from tests.compatibility.test_old_files import FILES

VOLUMES, IMAGES = "genesis_finetune", "unet2d_finetune"
GOOD = {name: checkpoint.read_file(FILES / name / "model.pt") for name in (VOLUMES, IMAGES)}
KEY = next(iter(GOOD[VOLUMES]["state_dict"]))


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        (VOLUMES, ("state_dict", KEY), "text", rf"state_dict\.{KEY[:20]}.*: expected a tensor of numbers, got 'text'"),
        (VOLUMES, ("state_dict", KEY), torch.zeros(2, dtype=torch.complex64), "expected a tensor of numbers"),
        (VOLUMES, ("state_dict",), [], "state_dict: expected an object, got an empty list"),
        (VOLUMES, ("classes",), {"lung": "lung"}, "classes: the value 'lung'; expected whole numbers"),
        (VOLUMES, ("classes",), {"1": 5}, "classes.1: expected text, got 5"),
        (VOLUMES, ("provenance", "patch_size"), None, r"provenance\.patch_size: expected a list, got null"),
        (VOLUMES, ("provenance", "patch_size"), [16, 16], r"patch_size \[16, 16\]; expected 3 sides"),
        (VOLUMES, ("provenance", "patch_size"), [16, 16, 1e300], r"patch_size\[2\]: expected a whole number from 1"),
        (VOLUMES, ("preprocessing", "spacing"), [1, 0, 1], r"spacing\[1\]: expected a number above 0"),
        (VOLUMES, ("preprocessing", "window_low"), float("nan"), "window_low: expected a number, got nan"),
        (VOLUMES, ("preprocessing", "intensity"), "x" * 5000, "intensity: expected window, percentile"),
        (VOLUMES, ("network", "arguments", "width"), 10**7, "width: expected a whole number from 1 to 65536"),
        (VOLUMES, ("network", "arguments", "width"), 60000, "width: genesis_unet with 60000 channels has .* GiB; this"),
        (VOLUMES, ("network", "arguments", "depth"), 3, "network {'name': 'genesis_unet'.*expected one of"),
        (VOLUMES, ("format",), torch.zeros(3), "expected a segxfer3d-model file .* found a Tensor"),
        (VOLUMES, ("version",), [1], r"format version \[1\], expected 1"),
        (IMAGES, ("preprocessing", "image_size"), "16", "image_size: expected a whole number from 1 to 8192, got '16'"),
        (IMAGES, ("preprocessing", "channels"), 0, "channels: expected 1 or 3, got 0"),
        (IMAGES, ("provenance", "patch_size"), [16, 16, 16], "expected 2 sides"),
        (IMAGES, ("inference",), "softmax", "inference: expected an object, got 'softmax'"),
    ],
)  # fmt: skip
def test_a_strange_entry_is_named(name, place, value, message, tmp_path):
    content = copy.deepcopy(GOOD[name])
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "model.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert len(str(caught.value)) <= 1500
    for says_less in (checkpoint.network_of, checkpoint.of_images, checkpoint.dims_of):
        says_less(path)  # whoever reads it says what is wrong


@pytest.mark.parametrize("entry", ["network", "state_dict", "preprocessing", "classes", "provenance"])
def test_an_entry_that_is_lacking_is_named(entry, tmp_path):
    torch.save({name: value for name, value in GOOD[VOLUMES].items() if name != entry}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=rf"model\.pt: damaged \({entry}: is missing\); expected model.pt of a run"):
        checkpoint.read_model(tmp_path / "model.pt")
