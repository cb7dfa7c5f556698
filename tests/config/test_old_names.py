"""Names of earlier versions lead to where things are now; bundles of the old form are refused with what to change."""

import importlib
import subprocess
import sys

import pytest
from monai.bundle import ConfigParser

from segxfer3d.config.old_names import OLD_FORM_MODULES, OLD_NAMES
from segxfer3d.errors import InputError

NAMED = [
    ("networks.genesis_unet", "networks.genesis_unet"),
    ("networks.named.image_unet", "networks.image_unet"),
    ("networks.imagenet.imagenet_unet", "networks.imagenet_unet.imagenet_unet"),
    ("networks.unet.SegmentationNetwork", "networks.parts.SegmentationNetwork"),
    ("pretexts.views.RandomViews", "augment.views.RandomViews"),
    ("pretexts.views.CenterView", "augment.views.CenterView"),
    ("pretexts.finetune_views.FinetuneViews", "augment.finetune_views.FinetuneViews"),
    ("pretexts.box_corruption.BoxCorruption", "augment.conrec_corruption.BoxCorruption"),
    ("pretexts.corruption.GenesisCorruptiond", "augment.genesis_corruption.GenesisCorruptiond"),
    ("pretexts.conrec.ConRec", "pretexts.conrec.ConRec"),
    ("losses.LabeledDiceLoss", "losses.dice.LabeledDiceLoss"),
    ("losses.contrastive.nt_xent", "losses.nt_xent.nt_xent"),
    ("engines.TrainInferer", "networks.forward.NetworkForward"),
    ("engines.WindowInferer", "inference.windows.WindowInferer"),
    ("engines.PretextTrainer", "training.engines.PretextTrainer"),
    ("engines.to_device", "networks.forward.to_device"),
    ("optimization.make_schedule", "training.schedules.make_schedule"),
    ("optimization.make_optimizer", "training.optimization.make_optimizer"),
    ("handlers.StopOnNaN", "training.engines.StopOnNaN"),
    ("analysis.cka.CKA", "interpret.cka.CKA"),
]


def found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"segxfer3d.{module}"), attribute)


@pytest.mark.parametrize(("old", "new"), NAMED)
def test_an_old_name_is_the_thing_of_today(old, new):
    assert found(old) is found(new)


def test_every_name_of_the_table_is_there():
    for old, names in OLD_NAMES.items():
        for name, place in names.items():
            if name == "*":
                importlib.import_module(f"segxfer3d.{place}")
            else:
                assert found(f"{old}.{name}") is found(place)


def test_a_bundle_may_name_components_by_their_old_names():
    parser = ConfigParser({"view": {"_target_": "segxfer3d.pretexts.views.CenterView", "size": [8, 8]}})
    assert type(parser.get_parsed_content("view")).__module__ == "segxfer3d.augment.views"


@pytest.mark.parametrize("module", OLD_FORM_MODULES)
def test_the_old_form_is_refused_with_what_to_change(module):
    with pytest.raises(InputError, match="three lines change") as caught:
        found(f"{module}.anything")
    lines = str(caught.value).splitlines()
    assert [word in line for word, line in zip(('"knobs"', '"session"', '"@session"'), lines[1:], strict=True)] == [
        True
    ] * 3


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("segxfer3d.nonsense")
    with pytest.raises(AttributeError, match="has moved"):
        found("losses.contrastive.nonsense")


def test_importing_the_package_is_quick_and_light():
    code = "import sys, segxfer3d; print([m for m in ('torch', 'monai', 'numpy', 'click') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
