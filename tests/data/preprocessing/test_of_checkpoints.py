"""The preprocessing that a checkpoint names."""

import pytest

from segxfer3d.data import preprocessing
from segxfer3d.errors import InputError


@pytest.mark.parametrize("values", [{"orientation": "LPS"}, {"orientation": "RAS"}, {"image_size": -1, "channels": 3}])
def test_what_cannot_be_used_names_the_checkpoint(values):
    with pytest.raises(InputError, match=r"^checkpoint runs/model\.pt: "):
        preprocessing.from_dict(values, "runs/model.pt")
