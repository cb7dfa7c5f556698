"""The values of an augmentation: checked, plain, off at 0."""

import dataclasses
import json

import pytest

from segxfer3d.augment.augmentation import CHANCES, Augmentation
from segxfer3d.errors import InputError


def test_defaults_are_nnunets():
    augmentation = Augmentation()
    chances = {"mirror": 0.5, "rotate": 0.2, "scale": 0.2, "elastic": 0, "noise": 0.1, "blur": 0.2, "brightness": 0.15,
               "contrast": 0.15, "low_resolution": 0.25, "gamma": 0.3, "gamma_inverted": 0.1}  # fmt: skip
    assert {name: getattr(augmentation, name) for name in CHANCES} == chances
    assert augmentation.scale_range == (0.7, 1.4)
    assert augmentation.gamma_range == (0.7, 1.5)


def test_values_are_plain_and_make_the_same_again():
    augmentation = Augmentation(elastic=0.3, scale_range=[0.8, 1.2], mirror_axes=[0, 2])
    values = json.loads(json.dumps(augmentation.as_dict()))
    assert Augmentation(**values) == augmentation
    assert hash(augmentation) == hash(Augmentation(**values))
    with pytest.raises(dataclasses.FrozenInstanceError):
        augmentation.noise = 1


def test_none_changes_nothing():
    assert not any(getattr(Augmentation.none(), name) for name in CHANCES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise": 1.5}, "noise: expected a chance from 0 to 1, got 1.5"),
        ({"noise": float("nan")}, "noise: expected a chance from 0 to 1, got nan"),
        ({"scale_range": (0, 1)}, "scale_range: expected two numbers from 0.1 to 10, got \\[0, 1\\]"),
        ({"gamma_range": (1.5, 0.7)}, "gamma_range: expected two numbers"),
        ({"blur_sigma": (1.0,)}, "blur_sigma: expected two numbers"),
        ({"low_resolution_range": (0.5, 2)}, "low_resolution_range: expected two numbers from 0.01 to 1"),
        ({"rotate_degrees": 200.0}, "rotate_degrees: expected 0 to 180, got 200"),
        ({"elastic_shift": -1.0}, "elastic_shift: expected 0 to 0.2, got -1"),
        ({"mirror_axes": (0, 3)}, "mirror_axes: expected some of 0, 1, 2, got \\[0, 3\\]"),
        ({"mirror": -1, "noise_sd": 11}, "mirror: .*; noise_sd: expected 0 to 10, got 11"),
    ],
)
def test_what_is_out_of_range_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Augmentation(**values)
