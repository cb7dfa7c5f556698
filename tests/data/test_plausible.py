"""What values say of volumes: scans of CT, other scans, masks among them."""

import numpy as np
import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.plausible import MASK, NO_HU, kind_of, refuse_masks, refuse_no_hu
from segxfer3d.errors import InputError
from tests.data.volumes import ct

RNG = np.random.default_rng(0)
MRI = RNG.gamma(2, 200, (20, 18, 12))


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (ct(), ""),
        (ct().astype(np.float32), ""),
        (MRI.astype(np.uint16), NO_HU),
        (MRI.astype(np.float32), NO_HU),
        (((MRI - MRI.mean()) / MRI.std()).astype(np.float32), NO_HU),
        ((MRI / MRI.max()).astype(np.float32), NO_HU),
        ((ct() > 0).astype(np.uint8), MASK),
        ((ct() > 0).astype(np.float32) * 255, MASK),
        ((ct() // 300 + 4).astype(np.int16), MASK),
        (np.zeros((4, 4, 4), np.int16), MASK),
        (RNG.integers(0, 60, (20, 18, 12)), NO_HU),
        (RNG.random((20, 18, 12)).round() / 2, NO_HU),
    ],
)
def test_kinds(array, kind):
    assert kind_of(array) == kind


def cases(*names):
    return [Case(name, f"{name}.nii") for name in names]


def test_masks_among_images_are_refused():
    with pytest.raises(
        InputError, match=r"set: 1 of 3 volumes hold 10 different values at most, .*\(b\); --image_pattern"
    ):
        refuse_masks("set", cases(*"abc"), {"b": MASK, "c": NO_HU})
    refuse_masks("set", cases(*"ab"), {"a": MASK, "b": MASK})  # made data, or one mask alone
    refuse_masks("set", cases(*"ab"), {"a": NO_HU})
    labeled = [Case("a", "a.nii", "l.nii"), *cases("b")]
    refuse_masks("set", labeled, {"a": MASK})


def test_most_volumes_have_to_be_in_hu():
    for kinds in ({"a": NO_HU, "b": NO_HU}, {"a": NO_HU, "b": MASK}):
        with pytest.raises(InputError, match=r"2 of 3 volumes have no value below 0, or a range below 100 \(a, b\)"):
            refuse_no_hu("set", list("abc"), kinds)
    refuse_no_hu("set", list("abc"), {"a": NO_HU})
    refuse_no_hu("set", [], {})


def test_the_scale_of_a_model_is_fixed():
    with pytest.raises(InputError, match=r"m\.pt is a model of CT in HU; --modality CT takes them as they are$"):
        refuse_no_hu("set", ["a"], {"a": NO_HU}, model="m.pt")
