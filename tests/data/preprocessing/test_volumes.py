import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Invertd

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing import from_dict, protocol
from segxfer3d.data.preprocessing.class_masks import stacked_masks
from segxfer3d.data.preprocessing.labels import OneHotd
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, write_nifti

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])
PERMUTED = np.array([[0, 0, 2.5, -70], [-0.8, 0, 0, 30], [0, 1.5, 0, 5], [0, 0, 0, 1]])


@pytest.fixture
def pair(tmp_path):
    """An image and a label with the values 0, 1 and 2, axes to the left, posterior and up."""
    label = np.zeros((9, 8, 7), np.uint8)
    label[2:6, 1:4, 3:] = 1
    label[6, 5, 2] = 2
    return {
        "image": write_nifti(tmp_path / "i.nii.gz", ct(), LPS),
        "label": write_nifti(tmp_path / "l.nii.gz", label, LPS),
    }


def test_window(pair):
    image = VolumePreprocessing(scales=(Scale(window_low=-500, window_high=500),)).image_transform()(pair)["image"]
    expected = ((ct()[::-1, ::-1].astype(np.float64) + 500) / 1000).clip(0, 1)
    assert image.dtype == torch.float32
    assert image.shape == (1, 9, 8, 7)
    np.testing.assert_allclose(image[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(np.diag(image.affine), [1, 1, 2, 1])


def test_percentiles(pair):
    image = VolumePreprocessing(scales=(Scale("percentile"),)).image_transform()(pair)["image"]
    low, high = np.percentile(ct(), (0.5, 99.5))
    np.testing.assert_allclose(image[0].numpy(), ((ct()[::-1, ::-1] - low) / (high - low)).clip(0, 1), atol=1e-6)


def test_foreground(pair):
    preprocessing = VolumePreprocessing(scales=(Scale("foreground", -500, 400, mean=-100, sd=250),))
    image = preprocessing.training_transform()(pair)["image"].numpy()
    raw = ct()[None, ::-1, ::-1].astype(np.float64)
    np.testing.assert_allclose(image, (raw.clip(-500, 400) + 100) / 250, atol=1e-5)
    shown = preprocessing.to_unit(torch.from_numpy(image.copy()))
    np.testing.assert_allclose(shown, (raw.clip(-500, 400) + 500) / 900, atol=1e-5)


def test_zscore(pair):
    preprocessing = VolumePreprocessing(scales=(Scale("zscore"),))
    image = preprocessing.training_transform()(pair)["image"].as_tensor()
    assert image.mean() == pytest.approx(0, abs=1e-5)
    assert image.std(correction=0) == pytest.approx(1, abs=1e-5)
    shown = preprocessing.to_unit(image)
    assert (shown.min(), shown.max()) == (0, 1)
    assert shown is not image


def test_zscore_of_nonzero_voxels_leaves_the_others(tmp_path):
    array = ct()
    array[:4] = 0
    path = write_nifti(tmp_path / "image.nii.gz", array, np.eye(4))
    preprocessing = VolumePreprocessing(scales=(Scale("zscore", nonzero=True),))
    image = preprocessing.image_transform()({"image": str(path)})["image"].as_tensor()[0]
    inside = array[array != 0].astype(float)
    assert not image[array == 0].any()
    np.testing.assert_allclose(image[array != 0], (inside - inside.mean()) / inside.std(), atol=1e-5)


@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize("value", [0, 7])
def test_zscore_of_a_constant_volume_is_zero(tmp_path, value, nonzero):
    path = write_nifti(tmp_path / "image.nii.gz", np.full((4, 4, 4), value, np.int16), np.eye(4))
    preprocessing = VolumePreprocessing(scales=(Scale("zscore", nonzero=nonzero),))
    assert not preprocessing.image_transform()({"image": str(path)})["image"].any()


def test_percentiles_of_a_constant_volume(tmp_path):
    path = write_nifti(tmp_path / "a.nii", np.full((4, 4, 4), 7.0, np.float32))
    image = VolumePreprocessing(scales=(Scale("percentile"),)).image_transform()({"image": path})["image"]
    assert (image == 0).all()


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (0.5, 2.0, 2.0)])
def test_image_and_label_on_one_grid(pair, spacing):
    both = VolumePreprocessing(spacing).training_transform()(pair)
    alone = VolumePreprocessing(spacing).image_transform()(pair)["image"]
    assert torch.equal(both["image"].as_tensor(), alone.as_tensor())
    assert both["label"].shape == both["image"].shape
    assert torch.equal(both["label"].affine, both["image"].affine)
    assert both["label"].unique().tolist() == [0, 1, 2]
    if spacing:
        np.testing.assert_allclose(np.diag(both["image"].affine)[:3], spacing)


def test_label_whose_header_is_rounded_shares_the_grid(pair, tmp_path):
    # within the tolerance, yet resampling it by itself would add a plane
    rounded = LPS.copy()
    rounded[0, 0] = -1.01
    pair["label"] = write_nifti(tmp_path / "r.nii.gz", np.asarray(nibabel.load(pair["label"]).dataobj), rounded)
    both = VolumePreprocessing((0.1, 1.0, 1.0)).training_transform()(pair)
    assert both["label"].shape == both["image"].shape


def test_label_on_another_grid_is_refused(pair, tmp_path):
    pair["label"] = write_nifti(tmp_path / "other.nii.gz", np.zeros((9, 8, 7), np.uint8), AFFINE)
    with pytest.raises(RuntimeError) as error:
        VolumePreprocessing().training_transform()(pair)
    assert isinstance(error.value.__cause__, InputError)
    assert "other.nii.gz: the label's affine is not its image's" in str(error.value.__cause__)


def test_native_transform_leaves_everything(pair):
    label = VolumePreprocessing((3.0, 3.0, 3.0)).native_transform("label")(pair)["label"]
    np.testing.assert_array_equal(label[0].numpy(), nibabel.load(pair["label"]).get_fdata())
    np.testing.assert_array_equal(label.affine.numpy(), LPS)


@pytest.mark.parametrize("affine", [LPS, PERMUTED, AFFINE], ids=["LPS", "permuted", "rotated"])
@pytest.mark.parametrize(("spacing", "error"), [(None, 1e-6), ((0.5, 0.5, 1.0), 0.03)])
def test_inversion_restores_the_files_grid(tmp_path, affine, spacing, error):
    x, y, z = np.meshgrid(np.arange(16), np.arange(14), np.arange(12), indexing="ij")
    # smooth and different along each axis: a flipped or swapped axis would show, resampling hardly
    array = (400 * np.sin(x / 5) + 300 * np.cos(y / 6) + 200 * np.sin(z / 4)).astype(np.int16)
    transform = VolumePreprocessing(spacing).image_transform()
    image = transform({"image": write_nifti(tmp_path / "a.nii.gz", array, affine)})["image"]
    inverse = Invertd("prediction", transform, orig_keys="image", nearest_interp=False)
    restored = inverse({"prediction": image.clone(), "image": image})["prediction"]
    assert restored.shape == (1, 16, 14, 12)
    np.testing.assert_allclose(restored.affine.numpy(), affine, atol=1e-5)
    np.testing.assert_allclose(restored[0].numpy(), (array + 1000.0) / 2000, atol=error)


def test_one_hot(pair):
    preprocessing = VolumePreprocessing()
    label = preprocessing.training_transform()(pair)["label"]
    channels = OneHotd("label", [(1,), (2,)])({"label": label})["label"]
    assert channels.shape == (2, 9, 8, 7)
    assert channels.dtype == torch.float32
    assert torch.equal(channels.as_tensor(), torch.cat([label == 1, label == 2]).as_tensor().float())
    assert torch.equal(channels.affine, label.affine)


def test_as_dict_and_back():
    for preprocessing in (
        VolumePreprocessing(),
        VolumePreprocessing((1.0, 1.0, 2.5), (Scale("percentile", -160, 240),)),
    ):
        assert VolumePreprocessing.from_dict(preprocessing.as_dict()) == preprocessing
    with pytest.raises(InputError, match="expected orientation RAS, got 'LPS'"):
        VolumePreprocessing.from_dict(VolumePreprocessing().as_dict() | {"orientation": "LPS"})
    with pytest.raises(InputError, match="spacing: is missing"):
        VolumePreprocessing.from_dict({"orientation": "RAS"})


def test_only_what_an_intensity_needs_is_written():
    old = VolumePreprocessing().as_dict()
    assert list(old) == ["spacing", "intensity", "window_low", "window_high", "orientation"]
    scaled = VolumePreprocessing(scales=(Scale("foreground", -900, 1500, mean=-300.5, sd=375),))
    around = VolumePreprocessing(scales=(Scale("zscore", nonzero=True),))
    assert scaled.as_dict() == old | {
        "intensity": "foreground", "window_low": -900, "window_high": 1500, "mean": -300.5, "sd": 375
    }  # fmt: skip
    assert around.as_dict() == old | {"intensity": "zscore", "nonzero": True}
    for preprocessing in (scaled, around):
        assert VolumePreprocessing.from_dict(preprocessing.as_dict()) == preprocessing


def test_for_modality():
    assert VolumePreprocessing.for_modality("MR", intensity="window", window_low=0) == VolumePreprocessing(
        scales=(Scale(window_low=0),)
    )
    assert VolumePreprocessing.for_modality("CT") == VolumePreprocessing(scales=(Scale("window"),))
    assert VolumePreprocessing.for_modality("MR", spacing=(1, 1, 1)) == VolumePreprocessing(
        (1, 1, 1), (Scale("percentile"),)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing: expected three numbers above 0"),
        ({"spacing": (1.0,)}, "spacing: expected three numbers above 0"),
        ({"scales": ()}, "scales: expected one for each channel, got none"),
        ({"scales": (Scale(),), "channel_names": ("a", "b")}, "channel_names: 2 for 1 channels"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        VolumePreprocessing(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intensity": "auto"}, "intensity: expected window, percentile, foreground or zscore, got 'auto'"),
        ({"intensity": "foreground"}, "intensity foreground: expected a mean and an SD above 0, got None and None"),
        ({"intensity": "foreground", "mean": 0, "sd": 0}, "intensity foreground: expected a mean and an SD above 0"),
        ({"window_low": 5, "window_high": 5}, "window_low 5: expected less than window_high 5"),
    ],
)
def test_a_scale_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Scale(**arguments)


@pytest.fixture
def case_set(pair):
    return CaseSet(pair["image"].parent, "folder", 3, (Case("a", **pair, patient="p"),), {1: "one", 2: "two"})


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0)])
def test_held_volumes_are_plain_tensors_of_one_grid(case_set, spacing):
    preprocessing = VolumePreprocessing(spacing)
    (item,) = preprocessing.hold(case_set.cases, case_set, labels=True, progress=False)
    assert {key: type(value) for key, value in item.items()} == {"image": torch.Tensor, "label": torch.Tensor}
    assert item["label"].shape == (2, *item["image"].shape[1:])
    assert item["label"].unique().tolist() == [0, 1]
    (alone,) = preprocessing.hold(case_set.cases, case_set, labels=False, progress=False)
    assert list(alone) == ["image"]
    assert torch.equal(alone["image"], item["image"])


def test_volumes_that_do_not_fit_in_memory(case_set, monkeypatch):
    monkeypatch.setattr(protocol, "MEMORY_SHARE", 1e-9)
    with pytest.raises(InputError, match=r"do not fit in memory \(0 of 1 take .*segxfer3d data cubes"):
        VolumePreprocessing().hold(case_set.cases, case_set, labels=False, progress=False)


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0)])
def test_a_whole_volume_and_back(case_set, pair, spacing):
    dataset = WholeCases(case_set.cases, case_set, VolumePreprocessing(spacing))
    item = dataset[0]
    assert item is dataset[0]
    assert (item["case"], item["patient"], item["image"].shape[0]) == ("a", "p", 1)
    label = nibabel.load(pair["label"]).get_fdata()
    np.testing.assert_array_equal(stacked_masks(item["label"]).numpy(), [label == 1, label == 2])
    # equal preprocessing restores too: that of a checkpoint, say
    restored = VolumePreprocessing(spacing).restore(torch.cat([item["image"].as_tensor() * 2] * 2), item)
    assert restored.shape == (2, 9, 8, 7)
    np.testing.assert_allclose(restored.affine.numpy(), LPS, atol=1e-5)
    assert 0 <= restored.min() <= restored.max() <= 1


def test_a_file_that_cannot_be_read_is_refused_in_its_own_words(case_set):
    case_set.cases[0].image.write_bytes(b"")
    for read in (
        lambda: VolumePreprocessing().hold(case_set.cases, case_set, labels=False, progress=False),
        lambda: VolumePreprocessing().read(case_set.cases[0], case_set, label=False),
    ):
        with pytest.raises(InputError, match=r"i\.nii\.gz: cannot be read, damaged or truncated"):
            read()


def test_checkpoints_tell_volumes_from_images():
    assert from_dict(VolumePreprocessing((1.0, 1.0, 1.0)).as_dict()) == VolumePreprocessing((1.0, 1.0, 1.0))
