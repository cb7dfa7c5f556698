"""Which classes labeled cases show."""

import pytest
import torch

from segxfer3d.data.shown_classes import refuse_unseen, unseen_classes
from segxfer3d.errors import InputError

CLASSES = {1: "liver", 4: "lesion", 9: "vessel"}


def item(*shown, dtype=torch.float32):
    label = torch.zeros(3, 4, 4, 2, dtype=dtype)
    for channel in shown:
        label[channel, 1, 2, 0] = 1
    return {"label": label}


def test_unseen():
    assert unseen_classes([item(0), item(0, dtype=torch.uint8)], CLASSES) == {4: "lesion", 9: "vessel"}
    assert unseen_classes([item(2), item(), item(0, 1)], CLASSES) == {}
    refuse_unseen([item(2), item(0, 1)], CLASSES)


def test_a_class_that_no_case_shows_is_refused():
    with pytest.raises(InputError, match=r"none of the 2 labeled cases shows the class lesion, .*expected more labels"):
        refuse_unseen([item(0), item(2)], CLASSES)
