"""Plans that are known: nnU-Net's own with plenty of time, the best known with little; and what hands may set."""

import json
import math
from dataclasses import replace

import pytest

from segxfer3d.data.planning import Fingerprint, Intensity, Plan, make_plan
from segxfer3d.data.planning.fingerprint import Foreground
from segxfer3d.data.planning.timing import ENOUGH_STEPS, FEWEST_STEPS, wanted_steps
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.planning.fingerprints import HIPPOCAMPUS, fingerprint

CORE = 182e3  # voxels a second of one thread of an AVX2 core, augmentation included


def test_with_plenty_of_time_the_plan_is_nnunets():
    plan = make_plan(HIPPOCAMPUS, memory=8)
    assert plan.patch_size == (40, 56, 40)
    assert plan.batch_size == 9
    assert plan.features == (32, 64, 128, 256)
    assert plan.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert plan.kernels == ((3, 3, 3),) * 4
    assert plan.intensity == Intensity("zscore")
    assert plan.steps is None
    assert plan.stem == (1, 1, 1)
    assert plan.reasons["stem"].startswith("none")


@pytest.mark.parametrize("cases", [5, 20, 260])
@pytest.mark.parametrize("minutes", [1, 2, 6])
@pytest.mark.parametrize("speed", [CORE, 0.8 * CORE, 3.5 * CORE])
def test_with_minutes_on_a_thread_small_steps_behind_a_stem_are_planned(cases, minutes, speed):
    few = replace(HIPPOCAMPUS, shapes=HIPPOCAMPUS.shapes[:cases], spacings=HIPPOCAMPUS.spacings[:cases])
    plan = make_plan(few, memory=8, minutes=minutes, voxels_per_second=speed)
    assert (plan.patch_size, plan.batch_size) == ((32, 32, 16), 4)
    assert (plan.stem, plan.features) == ((2, 2, 2), (16, 32, 64))
    assert plan.steps >= 250
    assert "where time is short" in plan.reasons["stem"]


def test_nodules_fold_no_short_axis():
    nodules = fingerprint((44, 43, 10), (0.7031, 0.7031, 0.775), cases=5)
    for minutes in (1, 2, 6):
        plan = make_plan(nodules, memory=8, minutes=minutes, voxels_per_second=CORE)
        assert (plan.stem, plan.features) == ((2, 2, 1), (16, 32, 64))
        assert (plan.patch_size, plan.batch_size) == ((32, 32, 10), 4)


def test_more_time_never_makes_a_step_cheaper():
    plans = [
        make_plan(HIPPOCAMPUS, memory=8, minutes=minutes, voxels_per_second=CORE)
        for minutes in (0.1, 1, 2, 6, 20, 60, 600, 10**5)
    ]
    voxels = [math.prod(plan.patch_size) * plan.batch_size for plan in plans]
    assert voxels == sorted(voxels)
    assert (plans[0].batch_size, plans[0].patch_size, plans[0].stem) == (2, (32, 32, 16), (2, 2, 2))
    assert (plans[-1].batch_size, plans[-1].features) == (9, (32, 64, 128, 256))
    assert (plans[-1].patch_size, plans[-1].stem) == ((40, 56, 40), (1, 1, 1))


def test_steps_are_as_many_as_fit_until_they_are_enough():
    assert [wanted_steps(steps) for steps in (10, FEWEST_STEPS, 3000, ENOUGH_STEPS)] == [250, 250, 3000, ENOUGH_STEPS]
    assert ENOUGH_STEPS < wanted_steps(4 * ENOUGH_STEPS) < 2 * ENOUGH_STEPS
    # nnU-Net's 250,000 steps lie between plans whose price is 200 and 1000 times a small step's
    assert wanted_steps(200 * 250_000) < 250_000 < wanted_steps(1000 * 250_000)


def test_a_stem_is_there_only_where_it_may_be():
    timed = {"memory": 8, "minutes": 2, "voxels_per_second": CORE}
    for fixed in ({"stem": (1, 1, 1)}, {"features": (8, 16, 32, 64)}, {"strides": ((1, 1, 1), (2, 2, 2))}):
        assert make_plan(HIPPOCAMPUS, **timed, fixed=fixed).stem == (1, 1, 1)
    assert make_plan(HIPPOCAMPUS, **timed, network="genesis_unet").stem == (1, 1, 1)
    assert make_plan(fingerprint((14, 14, 14)), **timed).stem == (1, 1, 1)  # too small for a stem
    assert make_plan(fingerprint((24, 20, 8)), **timed).stem == (1, 1, 1)  # too few levels would be left
    by_hand = make_plan(HIPPOCAMPUS, **timed, fixed={"patch_size": (32, 32, 16)})
    assert (by_hand.stem, by_hand.features) == ((2, 2, 2), (16, 32, 64))
    coarse = make_plan(fingerprint((64, 64, 20), (1.0, 1.0, 2.0)), **timed)
    assert coarse.stem == (2, 2, 1)


def test_a_stem_set_by_hand_stays():
    plan = make_plan(HIPPOCAMPUS, memory=8, fixed={"stem": [2, 2, 1]})
    assert (plan.stem, plan.reasons["stem"]) == ((2, 2, 1), "set by hand")
    assert plan.features[0] == 32
    divides = [by * side for by, side in zip(plan.stem, divisor(plan), strict=True)]
    assert all(side % by == 0 for side, by in zip(plan.patch_size, divides, strict=True))
    timed = make_plan(HIPPOCAMPUS, memory=8, minutes=2, voxels_per_second=CORE, fixed={"stem": [2, 2, 1]})
    assert (timed.stem, timed.features[0]) == ((2, 2, 1), 16)
    with pytest.raises(InputError, match="patch_size 32x32x18: the stem and the strides divide by 8x8x4; the next"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"stem": [2, 2, 2], "patch_size": (32, 32, 18)})
    with pytest.raises(InputError, match="stem: expected three whole numbers above 0, got 2"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"stem": 2})


@pytest.mark.parametrize(
    ("shape", "spacing", "patch", "batch"),
    [
        ((512, 512, 482), (0.77, 0.77, 1.0), (128, 128, 128), 2),  # Task03_Liver
        ((138, 170, 138), (1.0, 1.0, 1.0), (128, 160, 112), 2),  # Task01_BrainTumour without cropping
        ((320, 320, 20), (0.625, 0.625, 3.6), (320, 256, 16), 2),  # Task05_Prostate
    ],
)
def test_memory_bounds_large_volumes_as_in_nnunet(shape, spacing, patch, batch):
    plan = make_plan(fingerprint(shape, spacing, cases=200), memory=8, amp=True)
    assert sum(plan.patch_size) == pytest.approx(sum(patch), rel=0.15)
    assert plan.batch_size == batch
    assert 5 < plan.memory <= 8
    assert all(side % by == 0 for side, by in zip(plan.patch_size, divisor(plan), strict=True))


def divisor(plan):
    return [math.prod(stride[axis] for stride in plan.strides) for axis in range(3)]


def test_nodules_of_few_slices_keep_them():
    plan = make_plan(fingerprint((43, 43, 6), (0.7, 0.7, 1.25), cases=100), memory=4)
    assert plan.patch_size == (48, 48, 6)
    assert {stride[2] for stride in plan.strides} == {1}
    little = make_plan(fingerprint((43, 43, 6), (0.7, 0.7, 1.25)), memory=4, minutes=1, voxels_per_second=CORE)
    assert little.patch_size[2] == 6


def test_a_step_of_a_timed_plan_has_four_patches():
    few = fingerprint((50, 50, 9), (0.7, 0.7, 1.25), cases=5)
    assert make_plan(few, memory=4).batch_size == 2
    timed = make_plan(few, memory=4, minutes=30, voxels_per_second=CORE)
    assert (timed.batch_size, timed.reasons["batch_size"]) == (4, "at least 4 where the time is set")
    assert make_plan(few, memory=4, minutes=0.1, voxels_per_second=CORE).batch_size == 2
    by_hand = make_plan(few, memory=4, minutes=30, voxels_per_second=CORE, fixed={"batch_size": 3})
    assert (by_hand.batch_size, by_hand.reasons["batch_size"]) == (3, "set by hand")


def test_a_value_set_by_hand_stays_and_the_rest_follows():
    plan = make_plan(
        HIPPOCAMPUS,
        memory=8,
        fixed={"patch_size": [32, 32, 16], "batch_size": 3, "spacing": (1, 1, 2), "strides": None},
    )
    assert (plan.patch_size, plan.batch_size, plan.spacing) == ((32, 32, 16), 3, (1.0, 1.0, 2.0))
    assert plan.reasons["patch_size"] == plan.reasons["batch_size"] == plan.reasons["spacing"] == "set by hand"
    assert plan.reasons["strides"] != "set by hand"
    two = ((1, 1, 1), (2, 2, 2))
    plan = make_plan(
        HIPPOCAMPUS, memory=8, minutes=1, voxels_per_second=CORE, fixed={"strides": two, "features": [4, 6]}
    )
    assert (plan.strides, plan.features, plan.kernels) == (two, (4, 6), ((3, 3, 3),) * 2)


def test_what_hands_set_wrong_is_named():
    with pytest.raises(
        InputError, match="patch_size 30x32x16: the strides divide by 8x8x4; the next sizes are 24x32x16"
    ):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"patch_size": (30, 32, 16)})
    with pytest.raises(InputError, match="features: expected 4, one for each level of the strides, got 2"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"features": (8, 16)})
    with pytest.raises(InputError, match="batch_size: expected a whole number above 0, got 0"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"batch_size": 0})
    with pytest.raises(InputError, match="spacing: expected three numbers of millimeters above 0"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"spacing": (1, 1)})
    with pytest.raises(InputError, match="lr: no value of a plan"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"lr": 1})
    with pytest.raises(InputError, match="minutes: expected minutes and voxels_per_second above 0"):
        make_plan(HIPPOCAMPUS, memory=8, minutes=2)
    with pytest.raises(InputError, match="intensity: expected one of window, percentile, foreground, zscore"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"intensity": "auto"})


def test_what_does_not_fit_in_memory_names_what_would():
    with pytest.raises(InputError, match=r"patches of 256x256x256 with batch_size 8 take about \d+ GiB, 8 may be"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"patch_size": (256, 256, 256), "batch_size": 8})
    with pytest.raises(InputError, match=r"40x56x40 with \d\d would fit"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"batch_size": 10**6})
    with pytest.raises(InputError, match=r"memory: 0\.01 GiB are too few; patches of .* take about 0\.0\d+ GiB"):
        make_plan(HIPPOCAMPUS, memory=0.01)


def test_memory_that_leaves_no_levels_is_too_small():
    with pytest.raises(InputError, match=r"room for patches of .* only, 8 GiB.*smaller --batch_size or --width"):
        make_plan(HIPPOCAMPUS, memory=8, fixed={"width": 4096})


def test_little_memory_makes_a_smaller_patch():
    plan = make_plan(HIPPOCAMPUS, memory=0.3)
    assert plan.memory <= 0.3
    assert math.prod(plan.patch_size) < 40 * 56 * 40
    assert "cut to fit in 0.3 GiB" in plan.reasons["patch_size"]


def test_intensities_by_modality():
    assert make_plan(fingerprint(), memory=8).intensity == Intensity("foreground", -900, 1500, -300, 375)
    around = make_plan(fingerprint(modality="MR", nonzero_share=0.5), memory=8)
    assert around.intensity == Intensity("zscore", nonzero=True)
    assert "nonzero voxels lie in 50%" in around.reasons["intensity"]
    window = make_plan(fingerprint(), memory=8, fixed={"intensity": "window", "window_low": -500})
    assert window.intensity == Intensity("window", -500, 1000)
    with pytest.raises(InputError, match="labels of the training cases are empty"):
        make_plan(replace(fingerprint(), foreground=None), memory=8)


def test_a_plan_makes_the_preprocessing():
    ct = make_plan(fingerprint(spacing=(1.0, 1.0, 2.0)), memory=8).preprocessing()
    assert ct == VolumePreprocessing((1.0, 1.0, 2.0), (Scale("foreground", -900, 1500, mean=-300, sd=375),))
    mr = make_plan(HIPPOCAMPUS, memory=8).preprocessing()
    assert mr == VolumePreprocessing((1.0, 1.0, 1.0), (Scale("zscore"),))


def test_a_plan_goes_through_json():
    plan = make_plan(fingerprint(), memory=8, minutes=3, voxels_per_second=CORE)
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan
    earlier = {name: value for name, value in make_plan(fingerprint(), memory=8).as_dict().items() if name != "stem"}
    assert Plan.from_dict(earlier).stem == (1, 1, 1)
    with pytest.raises(InputError, match="plan: strides: is missing"):
        Plan.from_dict({name: value for name, value in plan.as_dict().items() if name != "strides"})
    with pytest.raises(InputError, match="plan: "):
        Plan.from_dict(plan.as_dict() | {"patch_size": [1, 2]})


def test_plans_of_one_fingerprint_are_equal():
    assert make_plan(HIPPOCAMPUS, memory=8) == make_plan(replace(HIPPOCAMPUS), memory=8)
    assert isinstance(HIPPOCAMPUS, Fingerprint)


def test_a_foreground_of_one_value_scales_nothing():
    # a phantom, or a label of nothing but air
    flat = replace(fingerprint(), foreground=Foreground(100.0, 100.0, 100.0, 0.0))
    plan = make_plan(flat, memory=8)
    assert plan.intensity == Intensity("window", -1000, 1000)
    assert plan.reasons["intensity"] == (
        "CT, but all voxels inside the training labels are 100: the window of -1000 to 1000 HU"
    )
    with pytest.raises(InputError, match="intensity foreground: all voxels inside the training labels are 100, which"):
        make_plan(flat, memory=8, fixed={"intensity": "foreground"})
