"""What a model's file says of how it is used."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.inference.labels import class_index
from segxfer3d.inference.settings import InferenceSettings, keep_largest


def test_plain_values_and_back():
    settings = InferenceSettings("softmax", (0, 2), (3, 7))
    assert settings.as_dict() == {"activation": "softmax", "mirror_axes": [0, 2], "largest_component": [3, 7]}
    assert InferenceSettings.from_dict(settings.as_dict()) == settings
    assert InferenceSettings.from_dict({}) == InferenceSettings() == InferenceSettings("sigmoid", (), ())


@pytest.mark.parametrize(
    "values",
    [
        {"activation": "relu"},
        {"activation": None},
        {"mirror_axes": 1},
        {"mirror_axes": [0.5]},
        {"largest_component": ["nodule"]},
        {"threshold": 0.3},
    ],
)
def test_an_entry_that_cannot_be_is_refused(values):
    with pytest.raises(
        InputError, match=r"checkpoint m\.pt: its entry inference is .*expected activation \(sigmoid or"
    ):
        InferenceSettings.from_dict(values, "m.pt")


@pytest.mark.parametrize(
    ("settings", "outputs", "message"),
    [
        (
            InferenceSettings("softmax"),
            2,
            "activation softmax of the background and 2 classes needs 3 outputs, its net",
        ),
        (InferenceSettings(), 3, "m.pt: activation sigmoid of 2 classes needs 2 outputs, its network has 3"),
        (InferenceSettings(largest_component=(2,)), 2, r"largest_component names the class 2; it knows \[1, 5\]"),
        (InferenceSettings(mirror_axes=(2,)), 2, r"mirror_axes: expected some of 0, 1, each once at most, got \[2\]"),
    ],
)
def test_what_does_not_fit_a_model_is_refused(settings, outputs, message):
    with pytest.raises(InputError, match=message):
        settings.check_model(classes=[1, 5], outputs=outputs, dims=2, source="m.pt")


def test_what_fits():
    InferenceSettings("softmax", (0, 1), (5,)).check_model(classes=[1, 5], outputs=3, dims=2)
    InferenceSettings().check_model(classes=[1, 5], outputs=None, dims=2)


def test_only_the_chosen_classes_keep_one_component():
    index = torch.zeros(2, 6, dtype=torch.uint8)
    index[0] = torch.tensor([1, 1, 0, 1, 2, 2])
    index[1] = torch.tensor([0, 0, 2, 0, 0, 0])
    probabilities = torch.stack([index == 1, index == 2]).float()
    classes = [4, 9]
    assert torch.equal(InferenceSettings().class_index(probabilities, classes), class_index(probabilities))
    first = InferenceSettings(largest_component=(4,)).class_index(probabilities, classes)
    assert first.tolist() == [[1, 1, 0, 0, 2, 2], [0, 0, 2, 0, 0, 0]]
    both = InferenceSettings(largest_component=(9, 4)).class_index(probabilities, classes)
    assert both.tolist() == [[1, 1, 0, 0, 2, 2], [0] * 6]
    assert both.dtype == torch.uint8
    assert torch.equal(keep_largest(index, 3), index)  # a class that is nowhere
