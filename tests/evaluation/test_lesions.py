"""Lesions: counts against hand-drawn scans, surface dice against known surfaces, what happens to the missed ones."""

import math

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.evaluation.lesions import match_lesions, measure_lesions, summarize_lesions, surface_dice

SHAPE = (40, 30, 20)


def boxes(*places, shape=SHAPE):
    """A mask of boxes, each given as (x, y, z, side)."""
    mask = np.zeros(shape, np.bool_)
    for *start, side in places:
        mask[tuple(slice(a, a + side) for a in start)] = True
    return mask


def ball(center, radius_mm, spacing, shape):
    grid = np.stack(np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij"), -1)
    return ((grid - np.multiply(center, spacing)) ** 2).sum(-1) <= radius_mm**2


def measure(prediction, label, spacing=(1.0, 1.0, 1.0), tolerance_mm=1.0, min_iou=0.0):
    return measure_lesions("scan", "patient", prediction, label, spacing, tolerance_mm, min_iou)


LABEL = boxes((2, 2, 2, 4), (20, 2, 2, 4), (2, 20, 10, 4))
PREDICTION = boxes((2, 2, 3, 4), (23, 5, 5, 4), (30, 20, 10, 3))  # three quarters of one; a corner of one; a false one


def test_any_overlap():
    matching = match_lesions(PREDICTION, LABEL)
    of_lesion = {tuple(np.argwhere(matching.lesions == k + 1)[0]): n for k, n in enumerate(map(len, matching.partners))}
    assert of_lesion == {(2, 2, 2): 1, (20, 2, 2): 1, (2, 20, 10): 0}
    [false] = matching.false_positives
    assert tuple(np.argwhere(matching.predicted == false)[0]) == (30, 20, 10)


def test_iou_rule_refuses_a_touching_corner():
    case, _ = measure(PREDICTION, LABEL, min_iou=0.1)
    assert (case["lesions"], case["found"], case["false_positives"]) == (3, 1, 2)
    assert measure(PREDICTION, LABEL, min_iou=0.6)[0]["found"] == 1  # its IoU is 48 / 80
    assert measure(PREDICTION, LABEL, min_iou=0.61)[0]["found"] == 0


def test_one_component_may_find_two_lesions_but_has_one_partner_by_iou():
    label = boxes((2, 2, 2, 3), (6, 2, 2, 3))
    joined = label.copy()
    joined[2:9, 2:5, 2:5] = True
    assert match_lesions(joined, label).partners == ((1,), (1,))
    by_iou = match_lesions(joined, label, min_iou=0.2)
    assert sorted(by_iou.partners) == [(), (1,)]
    assert by_iou.false_positives == ()
    pieces = match_lesions(label, joined)
    assert pieces.partners == ((1, 2),)
    assert pieces.false_positives == ()


def test_iou_pairs_as_many_as_possible():
    # the first component overlaps both lesions, and the larger one more; the second overlaps the larger one only
    label, prediction = np.zeros((1, 40), np.bool_), np.zeros((1, 40), np.bool_)
    label[0, 0:4] = label[0, 5:15] = True
    prediction[0, 2:11] = prediction[0, 12:15] = True
    matching = match_lesions(prediction, label, min_iou=0.1)
    assert matching.partners == ((1,), (2,))
    assert matching.false_positives == ()


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    assert len(match_lesions(LABEL, boxes((2, 2, 2, 3), (5, 5, 5, 3))).partners) == 1
    assert len(match_lesions(LABEL, boxes((2, 2, 2, 3), (6, 5, 5, 3))).partners) == 2


def test_rows_of_a_case():
    case, lesions = measure(PREDICTION, LABEL, spacing=(0.5, 1.0, 2.0))
    by_found = {(row["found"], row["dice"] > 0.5): row for row in lesions}
    good, missed = by_found[1, True], by_found[0, False]
    assert good["dice"] == pytest.approx(0.75)
    assert (good["label_mm3"], good["prediction_mm3"], good["volume_error_percent"]) == (64, 64, 0)
    assert by_found[1, False]["dice"] == pytest.approx(2 / 128)
    expected = {
        "dice": 0,
        "surface_dice": 0,
        "prediction_mm3": 0,
        "volume_error_mm3": -64,
        "volume_error_percent": -100,
    }
    assert {name: missed[name] for name in expected} == expected
    assert case["volume_error_mm3"] == 27 - 64
    assert case["lesion_dice"] == pytest.approx((0.75 + 2 / 128) / 3)
    assert case["lesion_surface_dice"] == pytest.approx(sum(row["surface_dice"] for row in lesions) / 3)
    assert {type(v) for row in (case, *lesions) for v in row.values()} <= {str, int, float}
    assert [(row["case"], row["patient"], row["lesion"]) for row in lesions] == [
        ("scan", "patient", n) for n in (1, 2, 3)
    ]


def test_measures_of_a_lesion_do_not_depend_on_what_lies_elsewhere():
    label, prediction = boxes((2, 2, 2, 4)), boxes((2, 3, 2, 4))
    alone = measure(prediction, label)[1][0]
    label |= boxes((30, 20, 10, 5))
    assert measure(prediction | boxes((20, 0, 0, 3)), label)[1][0] == alone
    assert alone["surface_dice"] == surface_dice(prediction, boxes((2, 2, 2, 4)), (1, 1, 1), 1.0)


def test_scans_without_lesions():
    nothing = np.zeros(SHAPE, np.bool_)
    clean, _ = measure(nothing, nothing)
    noisy, rows = measure(boxes((1, 1, 1, 2), (9, 9, 9, 2)), nothing)
    assert rows == []
    assert (clean["lesions"], clean["false_positives"], clean["lesion_dice"], clean["lesion_surface_dice"]) == (
        0,
        0,
        1,
        1,
    )
    assert (noisy["lesions"], noisy["false_positives"], noisy["lesion_dice"]) == (0, 2, 0)
    assert noisy["volume_error_mm3"] == 16
    summary = summarize_lesions([clean], [])
    assert (summary["sensitivity"], summary["f1"], summary["lesion_dice"]) == (None, None, None)


def test_summary_keeps_missed_lesions():
    first = measure(PREDICTION, LABEL)
    second = measure_lesions("other", "patient", np.zeros_like(LABEL), boxes((5, 5, 5, 4)), (1, 1, 1), 1.0)
    summary = summarize_lesions([first[0], second[0]], first[1] + second[1])
    assert (summary["scans"], summary["lesions"], summary["found"], summary["false_positives"]) == (2, 4, 2, 1)
    assert summary["sensitivity"] == 0.5
    assert summary["false_positives_per_scan"] == 0.5
    assert summary["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert summary["lesion_dice"] == pytest.approx((0.75 + 2 / 128) / 4)
    assert summary["found_lesion_dice"] == pytest.approx((0.75 + 2 / 128) / 2)
    assert summary["volume_error_percent"] == summary["absolute_volume_error_percent"] * -1 == -50
    assert all(math.isfinite(value) for value in summary.values())
    with pytest.raises(InputError, match="4 lesions, but there are 3 rows"):
        summarize_lesions([first[0], second[0]], first[1])
    with pytest.raises(InputError, match=r"of other cases \(other\)"):
        summarize_lesions([first[0]], first[1] + second[1])
    with pytest.raises(InputError, match="no cases"):
        summarize_lesions([], [])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 1.25)])
def test_surface_dice_of_balls_one_inside_the_other(spacing):
    shape = tuple(round(30 / mm) for mm in spacing)
    center = [n // 2 for n in shape]
    small, large = (ball(center, radius, spacing, shape) for radius in (8, 11))
    assert surface_dice(small, small, spacing, 0) == 1
    assert surface_dice(small, large, spacing, 1) == 0
    assert surface_dice(small, large, spacing, 5) == 1
    assert surface_dice(small, large, spacing, 3) == surface_dice(large, small, spacing, 3)


def test_surface_dice_weighs_by_area():
    # two slabs that reach the borders of the volume, one face in common, the other faces 6 mm apart
    label, prediction = np.zeros((30, 60, 60), np.bool_), np.zeros((30, 60, 60), np.bool_)
    label[5:9], prediction[5:15] = True, True
    faces, sides = 4 * 60**2, 4 * 60 * (4 + 10)
    # right are the common faces, the label's sides, the prediction's up to 2 mm beyond those, and a rim of 2 mm of the
    # label's other face, near the prediction's sides
    right = 2 * 60**2 + 4 * 60 * 4 + 4 * 60 * (4 + 2) + 4 * 60 * 2
    assert surface_dice(prediction, label, (1, 1, 1), 2) == pytest.approx(right / (faces + sides), abs=0.015)


def test_surface_dice_of_empty_masks_and_single_voxels():
    nothing, one = np.zeros(SHAPE, np.bool_), boxes((0, 0, 0, 1))
    assert surface_dice(nothing, nothing, (1, 1, 1), 1) == 1
    assert surface_dice(one, nothing, (1, 1, 1), 1) == surface_dice(nothing, one, (1, 1, 1), 1) == 0
    assert surface_dice(one, one, (1, 1, 1), 0) == 1
    assert surface_dice(one[..., 0], one[..., 0], (1, 1), 0) == 1


def test_bad_input_names_the_case():
    mask = boxes((1, 1, 1, 2))
    with pytest.raises(InputError, match="case scan: masks of type float64 and bool: expected boolean"):
        measure(mask.astype(float), mask)
    with pytest.raises(InputError, match=r"case scan: masks of shape .*expected the same shape"):
        measure(mask[1:], mask)
    with pytest.raises(InputError, match="case scan: spacing: expected 3 positive numbers in mm"):
        measure(mask, mask, spacing=(1, 1))
    with pytest.raises(InputError, match="case scan: tolerance_mm"):
        measure(mask, mask, tolerance_mm=-1)
    with pytest.raises(InputError, match="case scan: min_iou"):
        measure(mask, mask, min_iou=50)
    with pytest.raises(InputError, match=r"expected \(X, Y, Z\) or \(X, Y\)"):
        match_lesions(mask[None], mask[None])
