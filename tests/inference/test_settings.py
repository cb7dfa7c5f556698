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


REGIONS = ((1, (1, 2, 3)), (3, (2, 3)), (2, (2,)))  # written in this order


def test_regions_are_plain_values_and_back():
    settings = InferenceSettings(regions=REGIONS)
    assert settings.as_dict()["regions"] == [[1, [1, 2, 3]], [3, [2, 3]], [2, [2]]]
    assert InferenceSettings.from_dict(settings.as_dict()) == settings
    settings.check_model(classes=[1, 2, 3], outputs=3, dims=3)
    with pytest.raises(InputError, match=r"regions of the classes \[1, 3, 2\]; it knows \[1, 2\]"):
        settings.check_model(classes=[1, 2], outputs=2, dims=3)
    for values in ([[1, []]], [[1, "x"]], [1], {"a": 1}):
        with pytest.raises(InputError, match="its entry inference is"):
            InferenceSettings.from_dict({"regions": values})
    for wrong in ({"activation": "softmax"}, {"largest_component": (1,)}):
        with pytest.raises(InputError, match="regions: they overlap"):
            InferenceSettings(regions=REGIONS, **wrong)


def test_regions_are_written_one_over_the_other():
    settings, classes = InferenceSettings(regions=REGIONS), [1, 2, 3]
    # of five voxels: nothing, the first, all, the first and the last, the second alone
    probabilities = torch.tensor([[0.4, 0.5, 0.9, 0.9, 0.0], [0.1, 0.1, 0.6, 0.4, 0.7], [0.1, 0.1, 0.9, 0.8, 0.0]])
    assert settings.class_index(probabilities[:, None], classes).tolist() == [[0, 1, 2, 3, 2]]
    assert settings.numbers(classes) == ((1, 2, 3), (2,), (2, 3))
    assert InferenceSettings().numbers([4, 7]) == ((1,), (2,))
