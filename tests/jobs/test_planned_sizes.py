"""Where sizes come from: a file of a plan, the checkpoint, or values set by hand, which are never passed over."""

import json
from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.data.planning import Intensity, Plan
from segxfer3d.data.planning.price import count_step
from segxfer3d.data.planning.topology import Topology
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.jobs import plans
from segxfer3d.jobs.plans import network_of
from segxfer3d.jobs.pretraining_sizes import PretrainingSizes
from segxfer3d.jobs.shape import Shape
from segxfer3d.jobs.source import Source
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, refused
from tests.training.stand_ins import Run

pytestmark = MARKS
PLAN = Plan(
    (1.0, 1.0, 2.0),
    (16, 8, 8),
    3,
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 1)),
    kernels=((3, 3, 3),) * 3,
    features=(2, 4, 8),
    intensity=Intensity("zscore"),
    network="plain_unet",
)
SHORT = {"max_epochs": 1, "steps_per_epoch": 1, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_text(json.dumps(PLAN.as_dict()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pretrained(good, plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    knobs = {"plan": str(plan), "batch_size": 2, "dataset_dir": str(good), **SHORT}
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(folder), **knobs)
    return folder / "model.pt"


def finetuned(folder, **knobs):
    """The model of a fine-tuning, and the plan that it kept."""
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **{"init": "random", **SHORT, **knobs})
    kept = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return checkpoint.read_model(folder / "model.pt"), Plan.from_dict(kept)


def test_pretraining_takes_the_plans_patch_network_and_spacing(pretrained):
    model = checkpoint.read_model(pretrained)
    assert model["provenance"]["patch_size"] == [16, 8, 8]
    assert model["network"]["name"] == "plain_unet"
    assert model["network"]["arguments"]["features"] == [2, 4, 8]
    assert model["preprocessing"]["spacing"] == [1, 1, 2]
    assert model["preprocessing"]["intensity"] == "window"


def test_pretraining_takes_the_plans_intensities_that_end_in_0_to_1(tmp_path):
    source = Source(None, None, None, VolumePreprocessing(scales=(Scale("percentile"),)), generated=False)
    plan = replace(PLAN, intensity=Intensity("window", -100.0, 300.0))
    sizes = PretrainingSizes(PLAN.patch_size, Shape(2), plan)
    expected = VolumePreprocessing((1.0, 1.0, 2.0), (Scale("window", -100.0, 300.0),))
    assert sizes.source(source, None).preprocessing == expected
    assert sizes.source(replace(source, generated=True), None).preprocessing == source.preprocessing
    assert PretrainingSizes(PLAN.patch_size, Shape(2)).source(source, None) is source
    run = Run(tmp_path)
    taken = PretrainingSizes(PLAN.patch_size, Shape(2), PLAN).source(source, run)
    assert taken.preprocessing == VolumePreprocessing(PLAN.spacing, (Scale("percentile"),))
    assert run.said == [
        "note: the plan's intensities (zscore) are not in [0, 1], as pretexts need them; percentile instead"
    ]


def test_the_network_of_a_plan_is_what_its_file_says(plan, tmp_path):
    assert network_of(str(plan)) == "plain_unet"
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({name: value for name, value in PLAN.as_dict().items() if name != "network"}))
    assert [network_of(text) for text in (str(earlier), "data", "none", str(tmp_path))] == [""] * 4
    assert Plan.from_dict(json.loads(earlier.read_text())).network == ""


def test_arms_under_one_plan_are_one_network_on_the_same_voxels(good, tmp_path):
    """As a study has it: what starts at random, and what starts from a pretraining under the same plan."""
    path = tmp_path / "plan.json"
    stemmed = replace(PLAN, spacing=(1.5, 1.0, 2.0), stem=(2, 1, 1))
    path.write_text(json.dumps(stemmed.as_dict()), encoding="utf-8")
    common = {"network": "plain_unet", "plan": str(path), "batch_size": 2, "dataset_dir": str(good), **SHORT}
    common |= {"intensity": "percentile", "validation_interval": 1}
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(tmp_path / "pretrained"), **common)
    weights = {"init": "encoder", "checkpoint": str(tmp_path / "pretrained/model.pt")}
    random, plan_of_random = finetuned(tmp_path / "random", **common)
    encoder, plan_of_encoder = finetuned(tmp_path / "encoder", **common, **weights)
    assert random["network"] == encoder["network"]
    assert random["network"]["arguments"]["stem"] == [2, 1, 1]
    assert random["preprocessing"] == encoder["preprocessing"]
    assert random["preprocessing"]["spacing"] == [1.5, 1.0, 2.0]
    assert plan_of_random == plan_of_encoder


def test_the_plan_of_a_file_is_for_its_network_alone(good, plan, tmp_path):
    knobs = {**SHORT, "dataset_dir": str(good), "init": "random", "plan": str(plan)}
    message = (
        r"network genesis_unet: .*plan\.json is a plan for plain_unet, .*; expected --network plain_unet, or --plan d"
    )
    refused("genesis_finetune", tmp_path, message, **knobs, network="genesis_unet")


def test_the_plan_of_a_file_has_to_fit_in_memory(good, plan, tmp_path, monkeypatch):
    knobs = {"dataset_dir": str(good), "plan": str(plan), "batch_size": 2}
    _, kept = finetuned(tmp_path / "fits", **knobs)
    step = count_step((16, 8, 8), Topology(PLAN.strides, PLAN.kernels), features=(2, 4, 8), network="plain_unet")
    assert kept.memory == round(step.memory(2, amp=False) / 2**30, 3)
    monkeypatch.setattr(plans, "memory_of", lambda _: (step.memory(7, amp=False) + 1) / 2**30)
    message = (
        r"plan: patches of 16x8x8 with batch_size 9, .* take about .* GiB, .* may be used; expected --batch_size 7"
    )
    knobs |= {"init": "random", "batch_size": 9, **SHORT}
    refused("genesis_finetune", tmp_path, message, **knobs)
    monkeypatch.setattr(plans, "memory_of", lambda _: 0.001)
    refused("genesis_finetune", tmp_path, r"expected smaller patches \(--patch_size\) or a smaller --width", **knobs)


def test_reasons_tell_whose_values_are_not_planned(good, pretrained, tmp_path):
    def reasons(name, **knobs):
        return finetuned(tmp_path / name, dataset_dir=str(good), width=2, **knobs)[1].reasons

    own = reasons("own", network="genesis_unet", patch_size=[16, 16, 16])
    assert own["patch_size"] == "set by hand"
    assert {own[name] for name in ("strides", "kernels", "features", "stem")} == {"as genesis_unet has it"}
    brought = reasons("brought", init="encoder", checkpoint=str(pretrained))
    whose = {brought[name] for name in ("patch_size", "strides", "kernels", "features")}
    assert whose == {"as the network of the checkpoint was trained"}


def test_values_set_by_hand_replace_those_of_a_plans_file(good, plan, tmp_path):
    hands = {"width": 4, "patch_size": [8, 8, 8], "batch_size": 2, "spacing": [2, 2, 2], "intensity": "percentile"}
    model, kept = finetuned(tmp_path / "run", dataset_dir=str(good), plan=str(plan), **hands)
    assert (kept.features, kept.patch_size, kept.batch_size) == ((4, 8, 16), (8, 8, 8), 2)
    assert model["network"]["arguments"]["features"] == [4, 8, 16]
    assert model["preprocessing"]["spacing"] == [2, 2, 2]
    assert model["preprocessing"]["intensity"] == "percentile"
    assert kept.reasons["patch_size"] == "set by hand"


def test_a_checkpoint_brings_its_sizes_but_those_set_by_hand(good, pretrained, tmp_path):
    knobs = {"dataset_dir": str(good), "init": "encoder", "checkpoint": str(pretrained), "batch_size": 2}
    model, kept = finetuned(tmp_path / "brought", **knobs)
    assert model["network"]["arguments"]["features"] == [2, 4, 8]
    assert kept.patch_size == (16, 8, 8)
    assert model["preprocessing"] == checkpoint.read_model(pretrained)["preprocessing"]
    assert kept.intensity == Intensity("window", -1000.0, 1000.0)
    assert kept.reasons["intensity"] == "as the network of the checkpoint was trained"
    assert model["provenance"]["plan"] == kept.as_dict()
    model, _ = finetuned(tmp_path / "hands", **knobs, spacing=[2, 2, 2], intensity="zscore")
    assert (model["preprocessing"]["spacing"], model["preprocessing"]["intensity"]) == ([2, 2, 2], "zscore")


def test_batch_statistics_are_those_of_the_checkpoint(good, tmp_path, caplog):
    knobs = {**TINY, "dataset_dir": str(good), "recipe": "paper", "max_epochs": 1}
    run_bundle(
        BUNDLES / "genesis_finetune.json",
        output_dir=str(tmp_path / "first"),
        batch_statistics=True,
        init="random",
        **knobs,
    )
    knobs |= {"init": "whole", "checkpoint": str(tmp_path / "first" / "model.pt")}
    for name, more, expected in (("brought", {}, True), ("hands", {"batch_statistics": False}, False)):
        caplog.clear()
        with caplog.at_level("INFO", "segxfer3d"):
            run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / name), **knobs, **more)
        made = checkpoint.read_model(tmp_path / name / "model.pt")["network"]["arguments"]
        assert made["batch_statistics"] is expected
        assert json.loads((tmp_path / name / "run.json").read_text())["knobs"]["batch_statistics"] is expected
        assert ("trained with batch_statistics True, this run has False" in caplog.text) is not expected
    about = json.loads((tmp_path / "hands" / "run.json").read_text())
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "hands"), resume=True, **knobs)
    assert json.loads((tmp_path / "hands" / "run.json").read_text())["knobs"] == about["knobs"]


def test_another_width_than_the_checkpoints_is_refused(good, pretrained, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "init": "encoder", "checkpoint": str(pretrained), "width": 4}
    refused("genesis_finetune", tmp_path, "its network has width 2, this one 4; --width 2", **knobs)


SMALL = {"init": "random", "validation_fraction": 0.0, "batch_size": 2, "width": 2, **SHORT}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Volumes that leave two levels to a network."""
    root = tmp_path_factory.mktemp("small")
    for number in range(4):
        name, inside = f"p{number}.nii.gz", np.zeros((10, 10, 10), np.uint8)
        inside[3:7, 3:7, 3:7] = 1
        write_nifti(root / "imagesTr" / name, ct((10, 10, 10), number))
        write_nifti(root / "labelsTr" / name, inside)
    return str(root)


def test_two_levels_are_not_supervised_deeply(small, tmp_path, caplog):
    with caplog.at_level("INFO", "segxfer3d"):
        model, kept = finetuned(tmp_path / "run", dataset_dir=small, **SMALL)
    assert len(kept.strides) == 2
    assert kept.reasons["deep_supervision"] == "2 levels of a network leave one to the decoder"
    assert "deep_supervision" not in model["network"]["arguments"]
    assert "deep_supervision: False" in caplog.text


def test_deep_supervision_of_two_levels_that_is_asked_for_is_refused(small, tmp_path):
    knobs = {"dataset_dir": small, "deep_supervision": True, **SMALL}
    refused("genesis_finetune", tmp_path, "deep_supervision: needs a decoder of two stages or more, got 1", **knobs)


def test_a_checkpoint_of_another_plan_is_refused(good, pretrained, tmp_path):
    """Its levels would stay, and an arm that starts at random under the same plan would be another network."""
    knobs = {"dataset_dir": str(good), "init": "encoder", "checkpoint": str(pretrained), "network": "plain_unet"}
    for change, message in (
        ({"features": (4, 8, 16)}, r"has features \[4,8,16\], the network of .*model.pt \[2,4,8\]; expected the plan"),
        (
            {"kernels": ((3, 3, 1), (3, 3, 3), (3, 3, 3))},
            r"has kernels \[\[3,3,1\],.* \[\[3,3,3\],.*; expected the plan",
        ),
        ({"stem": (2, 1, 1)}, r"has stem \[2,1,1\], the network of .*model.pt \[1,1,1\]; expected the plan"),
    ):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(replace(PLAN, **change).as_dict()), encoding="utf-8")
        refused("genesis_finetune", tmp_path, message, plan=str(path), **knobs)


def test_foreground_set_by_hand_is_of_the_plan(good, tmp_path):
    model, kept = finetuned(tmp_path / "run", **TINY | SHORT, dataset_dir=str(good), intensity="foreground")
    assert model["preprocessing"]["intensity"] == kept.intensity.rule == "foreground"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": [0, 8, 8]}, "is no plan .*patch_size.0.: expected a whole number from 1 to 1024, got 0"),
        ({"features": [2, 4]}, "as many strides, kernels and features, got 3 strides, 3 kernels, 2 features"),
        ({"mirror_axes": [3]}, "mirror_axes.0.: expected an axis from 0 to 2, got 3"),
        ({"intensity": []}, "is no plan"),
        (None, "is not JSON .*expected data, none, or a file"),
    ],
)
def test_a_damaged_plan_is_refused(change, message, good, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**PLAN.as_dict(), **change}) if change else "{", encoding="utf-8")
    refused("genesis_finetune", tmp_path, message, dataset_dir=str(good), init="random", plan=str(path))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"patch_size": [4, 4, 4]}, "patch_size 4x4x4: too small for two levels of a network"),
        ({"network": "genesis_unet", "norm": "instance"}, "network genesis_unet: has no norm to choose"),
        ({"intensity": "foreground", "plan": "none"}, "intensity foreground: needs a plan"),
    ],
)
def test_sizes_that_cannot_be_are_refused(knobs, message, good, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "init": "random", **knobs}
    refused("genesis_finetune", tmp_path, message, **knobs)


def test_pretraining_takes_no_intensities_beyond_0_and_1(good, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "intensity": "zscore"}
    refused("genesis_pretrain", tmp_path, "intensity: expected auto, window or percentile in pretraining", **knobs)


@pytest.mark.parametrize("bundle", ["reconstruction_pretrain", "unet2d_finetune"])
def test_sizes_of_images_that_are_none_end_in_no_type_error(bundle, shapes, tmp_path):
    knobs = {"dataset_dir": str(shapes), "batch_size": None, "width": None, "image_size": 16, "init": "none"}
    if bundle == "reconstruction_pretrain":
        del knobs["init"]
        refused(bundle, tmp_path, "batch_size: expected a number; only fine-tuning", **knobs)
    else:
        refused(bundle, tmp_path, "init: expected one of", **knobs)
