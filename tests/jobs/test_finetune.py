"""What fine-tuning hands on of its options."""

from types import SimpleNamespace

import pytest

from segxfer3d.config import groups
from segxfer3d.config.learning import CHANGES, Augmentation
from segxfer3d.jobs import finetune


@pytest.mark.parametrize("changes", [Augmentation("flips", **dict.fromkeys(CHANGES, 0.0)), Augmentation("full")])
def test_patches_have_the_share_of_foreground_that_was_asked_for(changes, monkeypatch):
    monkeypatch.setattr(finetune, "planned_axes", lambda *_, **__: (0,))
    planned = SimpleNamespace(patch_size=(8, 8, 4), plan=None, source=SimpleNamespace(case_set=SimpleNamespace(dims=3)))
    for share in (0.2, 0.9):
        options = {groups.Patches: groups.Patches(foreground_share=share), Augmentation: changes}
        made = finetune.patches(options, planned=planned)
        assert made.foreground_share == share
        assert tuple(made.size) == (8, 8, 4)
