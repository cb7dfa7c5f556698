"""Fine-tuning from a published Models Genesis checkpoint takes over what it was trained with."""

import json
from dataclasses import replace

import pytest
import torch
from monai.bundle import ConfigParser

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.data.case import CaseSet
from segxfer3d.data.planning import Intensity
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.jobs.plans import BROUGHT, find_plan
from segxfer3d.jobs.shape import Brought
from segxfer3d.jobs.source import Source
from tests.jobs.test_planned_sizes import PLAN
from tests.jobs.volume_sets import BUNDLES, MARKS
from tests.training.stand_ins import Run
from tests.weights.formats.test_genesis import fingerprint_weights

pytestmark = MARKS
OWN = VolumePreprocessing(None, (Scale("window", -1000.0, 1000.0),))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "Genesis_Chest_CT.pt"
    torch.save({"state_dict": fingerprint_weights(), "epoch": 1}, path)
    return str(path)


def planned(good, folder, checkpoint, **knobs):
    """The sizes of a fine-tuning, and whether its network normalizes by the batch."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / "genesis_finetune.json"))
    values = {"dataset_dir": str(good), "checkpoint": checkpoint, "init": "encoder", "output_dir": str(folder)}
    parser.update({**values, "device": "cpu", "progress": False, "batch_size": 2, **knobs})
    return parser.get_parsed_content("planned"), parser.get_parsed_content("batch_statistics")


def test_intensities_spacing_patches_and_network_are_those_it_was_trained_with(good, published, tmp_path):
    sizes, batch_statistics = planned(good, tmp_path / "run", published)
    assert sizes.source.preprocessing == OWN
    assert (sizes.patch_size, sizes.shape.width, batch_statistics) == ((64, 64, 32), 32, True)
    assert sizes.plan.reasons["intensity"] == sizes.plan.reasons["patch_size"] == BROUGHT


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("reasons", [{}, {"intensity": BROUGHT}])
def test_a_run_of_an_earlier_version_goes_on_with_what_it_planned(published, reasons, tmp_path):
    """Its plan's intensities were those of the data; of models of runs they always were those that were brought."""
    its = replace(PLAN, intensity=Intensity("window", -100.0, 300.0), reasons=reasons)
    (tmp_path / "plan.json").write_text(json.dumps(its.as_dict()), encoding="utf-8")
    filled = (groups.Network("genesis_unet", width=2), groups.Volumes(), learning.Learning(), learning.Planned())
    source = Source(CaseSet(tmp_path, "folder", 3, (), channels=1), None, None, None, generated=False)
    brought = Brought(OWN, (64, 64, 32), "genesis_unet", {"width": 2}, published=published)
    run = Run(tmp_path, resume=True)
    _, used = find_plan(Options("genesis_finetune", filled), run, None, source, brought)
    assert used == (
        VolumePreprocessing(PLAN.spacing, (Scale("window", -100.0, 300.0),)) if published and not reasons else OWN
    )
