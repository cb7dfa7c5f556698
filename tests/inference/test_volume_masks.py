"""Masks of volumes while windows pass the network: those of the whole volume's logits, without holding these."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.inference import predicting, volume_masks
from segxfer3d.inference.ensemble import load_ensemble
from segxfer3d.inference.labels import probabilities_on_file
from segxfer3d.inference.model import load_model
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.inference.volume_masks import Way, segment
from segxfer3d.inference.windows import WindowInferer
from tests.data.volumes import ct, write_nifti
from tests.inference.models import volume_model
from tests.inference.test_ensemble import three

TURNED = np.array([[0, 0, -2.0, 7], [-1.5, 0, 0, 3], [0, 1.0, 0, 1], [0, 0, 0, 1]])
CLASSES = {3: "a", 5: "b", 9: "c"}
ENTRIES = {
    "one class": ({1: "nodule"}, None),
    "sigmoid": (CLASSES, {"activation": "sigmoid"}),
    "softmax": (CLASSES, {"activation": "softmax"}),
    "mirrored, largest": (CLASSES, {"activation": "softmax", "mirror_axes": [0, 2], "largest_component": [5, 9]}),
    "regions": (CLASSES, {"regions": [[5, [5, 9]], [3, [3]], [9, [9]]]}),
}


def whole(model, scan):
    """The probabilities and the mask by the logits of the whole volume, as they were made before."""
    case = Case("scan", scan)
    item = model.preprocessing.read(case, model.case_set([case]), label=False)
    logits = model.logits([item])[0]
    on_file = probabilities_on_file(logits, item, model.preprocessing, model.inference.activation).as_tensor()
    index = model.inference.class_index(on_file, list(model.classes))
    return on_file, np.array([0, *model.classes])[index.numpy()]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("spread", ["steps", "even"])
@pytest.mark.parametrize("shape", [(23, 35, 18), (9, 16, 40)])
def test_the_mask_is_that_of_the_whole_volume(tmp_path, entry, spread, shape):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct(shape), TURNED)
    model = load_model(volume_model(tmp_path / "m.pt", *ENTRIES[entry]), spread=spread, reuse=True)
    probabilities, mask = whole(model, scan)
    found = model.predict(scan)
    # the logits are equal bit for bit; torch's sigmoid rounds the last few values of a tensor otherwise
    torch.testing.assert_close(found.probabilities, probabilities, atol=2e-7, rtol=0)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_allclose(found.affine, TURNED)
    assert len(np.unique(mask)) > 1
    without = next(model.predict_each([scan], probabilities=False))
    assert without.probabilities is None
    np.testing.assert_array_equal(without.mask, mask)


@pytest.mark.parametrize("spacing", [(1.0, 1.5, 1.2), (2.2, 1.5, 3.0)])
def test_of_a_resampled_volume_it_differs_by_rounding(tmp_path, spacing):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((23, 35, 18)), TURNED)
    model = load_model(volume_model(tmp_path / "m.pt", CLASSES, {"activation": "softmax"}), spread="even")
    model = replace(model, preprocessing=VolumePreprocessing(spacing))
    probabilities, mask = whole(model, scan)
    found = model.predict(scan)
    torch.testing.assert_close(found.probabilities, probabilities, atol=2e-5, rtol=0)
    assert np.mean(found.mask != mask) < 1e-3


def test_of_a_sheared_grid_that_is_resampled_too(tmp_path):
    sheared = np.array([[1.0, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((20, 18, 17)), sheared)
    model = replace(load_model(volume_model(tmp_path / "m.pt")), preprocessing=VolumePreprocessing((1.0, 1.0, 1.5)))
    probabilities, mask = whole(model, scan)
    found = model.predict(scan)
    assert torch.equal(found.probabilities, probabilities)
    np.testing.assert_array_equal(found.mask, mask)


@pytest.mark.parametrize("how", [{}, {"classes": {1: "front", 2: "back"}, "inference": {"activation": "softmax"}}])
def test_several_models_see_each_window_in_turn(tmp_path, how):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((23, 35, 18)), TURNED)
    model = load_ensemble(three(tmp_path, **how), spread="even")
    probabilities, mask = whole(model, scan)
    found = model.predict(scan)
    torch.testing.assert_close(found.probabilities, probabilities, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(found.mask, mask)


class Sixty(nn.Module):
    """A network of 60 classes that says something else of every voxel."""

    def forward(self, x):
        return torch.cat([1 - (60 * x - k) ** 2 for k in range(60)], 1)


def item_of(array, folder):
    scan = write_nifti(folder / "scan.nii.gz", array)
    case = Case("scan", scan)
    model = load_model(volume_model(folder / "m.pt"))
    return model.preprocessing.read(case, model.case_set([case]), label=False)


def way(inferer, network, classes):
    return Way(inferer, network, torch.device("cpu"), InferenceSettings(), classes)


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the voxels of the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, (list, tuple)) else [result]
        self.most = max([self.most, *(each.numel() for each in made if isinstance(each, torch.Tensor))])
        return result


def test_no_tensor_holds_a_volume_for_each_of_60_classes(tmp_path):
    shape = (96, 40, 40)
    item = item_of(ct(shape), tmp_path)
    inferer = WindowInferer((16, 16, 16), amp=False, spread="even")
    with Largest() as seen:
        index = segment(item, FileGrid.of(item["image"]), way(inferer, Sixty(), range(1, 61)))
    assert len(index.unique()) > 20
    volume = 96 * 40 * 40
    assert seen.most < 60 * volume / 8  # a batch of windows
    assert seen.most == 4 * 60 * 16**3


def test_many_probabilities_lie_in_a_file(tmp_path, monkeypatch):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((20, 18, 17)), TURNED)
    model = load_model(volume_model(tmp_path / "m.pt", CLASSES))
    expected = model.predict(scan).probabilities
    asked = []
    file = torch.from_file
    monkeypatch.setattr(torch, "from_file", lambda *args, **how: asked.append(how["size"]) or file(*args, **how))
    monkeypatch.setattr(volume_masks, "IN_MEMORY", 1000)
    assert torch.equal(model.predict(scan).probabilities, expected)
    assert asked == [3 * 20 * 18 * 17]


class Greedy(nn.Module):
    """A network that runs out of memory with more than so many voxels at a time."""

    def __init__(self, most):
        super().__init__()
        self.most = most
        self.seen = []

    def forward(self, x):
        if x.numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(tuple(x.shape))
        return x - 0.5


@pytest.mark.parametrize(
    ("most", "shape"), [(10**6, (4, 1, 16, 16, 16)), (16**3, (1, 1, 16, 16, 16)), (1100, (1, 1, 8, 8, 16))]
)
def test_a_device_that_is_too_small_sees_fewer_windows_then_smaller_ones(tmp_path, most, shape):
    item = item_of(ct((20, 18, 30)), tmp_path)
    grid, network = FileGrid.of(item["image"]), Greedy(most)
    index = segment(item, grid, way(WindowInferer((16, 16, 16), amp=False), network, [1]))
    assert network.seen[-1][1:] == shape[1:]
    assert max(network.seen)[0] == shape[0]
    expected = torch.zeros(20, 18, 30, dtype=torch.uint8)
    grid.put(expected, tuple(slice(0, side) for side in grid.seen), (item["image"][0] >= 0.5).as_tensor().byte())
    assert torch.equal(index, expected)


def test_a_device_that_is_too_small_for_any_window_ends_with_a_sentence(tmp_path):
    item = item_of(ct((20, 18, 30)), tmp_path)
    grid = FileGrid.of(item["image"])
    with pytest.raises(InputError, match="scan: cpu has too little memory for the smallest windows; expected --device"):
        segment(item, grid, way(WindowInferer((16, 16, 16), amp=False), Greedy(0), [1]))


def test_outputs_that_are_not_finite_are_refused(tmp_path):
    item = item_of(ct((20, 18, 30)), tmp_path)
    with pytest.raises(InputError, match=r"probabilities: values from nan to nan, expected all of them in \[0, 1\]"):
        segment(item, FileGrid.of(item["image"]), way(WindowInferer((16, 16, 16), amp=False), lambda x: x / 0 * 0, [1]))


def test_the_next_case_is_read_beside_and_no_further_one(tmp_path, monkeypatch):
    paths = [write_nifti(tmp_path / f"{name}.nii.gz", ct((16, 16, 16 + i))) for i, name in enumerate("abcd")]
    nibabel.load(paths[0])
    model = load_model(volume_model(tmp_path / "m.pt"))
    read: list[str] = []
    original = predicting.read_scaled
    monkeypatch.setattr(
        predicting, "read_scaled",
        lambda preprocessing, case, kept: read.append(case.name) or original(preprocessing, case, kept),
    )  # fmt: skip
    each = model.predict_each(paths)
    assert next(each).name == "a"
    assert read in (["a", "b"], ["a"])
    assert [prediction.name for prediction in each] == ["b", "c", "d"]
    assert read == ["a", "b", "c", "d"]
    (tmp_path / "b.nii.gz").write_bytes(b"x")
    each = model.predict_each(paths)
    assert next(each).name == "a"
    with pytest.raises(InputError, match=r"b\.nii\.gz: cannot be read"):
        next(each)
