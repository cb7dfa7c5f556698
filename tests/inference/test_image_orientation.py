"""Masks of images lie on the pixels as they are stored, EXIF included: read back with PIL and SimpleITK."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image, ImageOps

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.layouts.folder_images import RULE
from segxfer3d.data.preprocessing.loaded_images import load_image
from segxfer3d.errors import InputError
from segxfer3d.inference.as_stored import as_stored
from segxfer3d.inference.model import load_model
from segxfer3d.inference.predictions import write_prediction
from tests.data.image_files import noise, save
from tests.inference.models import image_model

BRIGHT = np.zeros((40, 64), bool)
BRIGHT[4:16, 8:28] = True


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that finds what is bright."""
    loaded = load_model(image_model(tmp_path_factory.mktemp("models") / "images.pt"))
    return replace(loaded, inferer=lambda images, _: 100 * (images.mean(1, keepdim=True) - 0.5))


def photo(path, orientation, bright=BRIGHT):
    array = np.where(bright[..., None], 230, 20).astype(np.uint8).repeat(3, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(path, array, quality=95, exif=exif)


def overlap(mask):
    return (mask & BRIGHT).sum() / (mask | BRIGHT).sum()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_overlays_its_image(model, tmp_path, orientation):
    path = photo(tmp_path / "a.jpg", orientation)
    prediction = model.predict(path)
    assert prediction.mask.shape == BRIGHT.shape == tuple(prediction.probabilities.shape[1:])
    written = write_prediction(tmp_path, prediction, probabilities=True)
    with Image.open(written) as mask, Image.open(path) as image:
        assert mask.size == image.size
        assert overlap(np.asarray(mask) > 0) > 0.8
        shown, turned = ImageOps.exif_transpose(mask), ImageOps.exif_transpose(image)
        assert shown.size == turned.size
        bright = np.asarray(turned.convert("L")) > 127
        assert ((np.asarray(shown) > 0) & bright).sum() > 0.8 * bright.sum()
    by_itk, image_by_itk = sitk.ReadImage(str(written)), sitk.ReadImage(str(path))
    assert by_itk.GetSize() == image_by_itk.GetSize()
    assert overlap(sitk.GetArrayFromImage(by_itk) > 0) > 0.8
    with Image.open(tmp_path / "a_cat_probability.png") as probability:
        assert overlap(np.asarray(probability) > 32767) > 0.8


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_mask_overlays_its_tiff(model, tmp_path, orientation, compression):
    """Which Pillow and ITK turn, each in its own way: the mask is a TIFF of the same orientation."""
    array = np.where(BRIGHT[..., None], 230, 20).astype(np.uint8).repeat(3, -1)
    path = save(tmp_path / "a.tif", array, tiffinfo={274: orientation}, compression=compression)
    prediction = model.predict(path)
    assert overlap(prediction.mask > 0) > 0.8
    written = write_prediction(tmp_path, prediction, probabilities=True)
    assert written.name == "a_mask.tif"
    by_itk = [sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in (written, path)]
    with Image.open(written) as mask, Image.open(path) as image:
        by_pillow = [np.asarray(mask), np.asarray(image)]
    for mask, image in (by_itk, by_pillow):
        bright = image[..., 0] > 127
        shown = (mask[..., 0] if mask.ndim == 3 else mask) > 0  # what ITK turns, it gives four channels
        assert shown.shape == bright.shape
        assert (shown & bright).sum() > 0.8 * (shown | bright).sum()
    with Image.open(tmp_path / "a_cat_probability.tif") as probability:
        assert ((np.asarray(probability) > 32767) & (by_pillow[1][..., 0] > 127)).sum() > 0.8 * BRIGHT.sum()
    case = Case("a", path, written)
    loaded = load_image(case, CaseSet(tmp_path, "folder", 2, (case,), label_rule=RULE, official=False))
    assert (loaded.label.label[0] & (loaded.image[0] > 127)).sum() > 0.8 * BRIGHT.sum()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_mask_trains_where_it_lay(model, tmp_path, orientation):
    path = photo(tmp_path / "a.jpg", orientation)
    mask = write_prediction(tmp_path, model.predict(path))
    case = Case("a", path, mask)
    loaded = load_image(case, CaseSet(tmp_path, "folder", 2, (case,), label_rule=RULE, official=False))
    bright = loaded.image[0] > 127
    assert (loaded.label.label[0] & bright).sum() > 0.8 * bright.sum()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_is_exact(tmp_path, orientation):
    stored = noise((5, 7), 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(save(tmp_path / "a.png", stored, exif=exif)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    back = as_stored(torch.from_numpy(shown.copy())[None], orientation)
    np.testing.assert_array_equal(back[0], stored)


def test_images_of_another_kind_are_converted_where_asked(tmp_path):
    checkpoint = image_model(tmp_path / "images.pt")
    gray = save(tmp_path / "a.png", noise((40, 64), 1))
    with pytest.raises(InputError, match=r"a\.png: a gray image \(L\); .*--image_kind color converts it"):
        load_model(checkpoint).predict(gray)
    assert load_model(checkpoint, image_kind="color").predict(gray).mask.shape == (40, 64)
    with pytest.raises(InputError, match="image_kind gray: the model is for color images; expected auto or color"):
        load_model(checkpoint, image_kind="gray")
