"""Small pictures that runs keep: which cases, which part, and that they are what was measured."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.evaluation.previews import Preview, choose, crop_around, in_window, read_previews, write_previews
from segxfer3d.run.bundle import run_bundle
from tests.jobs.test_volumes import BUNDLES, pytestmark  # noqa: F401  (the same warnings of MONAI)


def preview(shape=(20, 18, 16), case="a", roles=("best",)):
    rng = np.random.default_rng(0)
    label = np.zeros(shape, np.uint8)
    label[(slice(2, 6), slice(3, 7), slice(4, 9))[: len(shape)]] = 1
    image, spacing = rng.integers(256, size=(1, *shape), dtype=np.uint8), (1.0, 1.0, 2.0)[: len(shape)]
    return Preview(case, roles, 0.5, image, label, label, spacing)


def test_best_median_and_worst_are_kept_and_three_that_all_runs_share():
    rows = [{"case": f"c{i}", "dice": i / 10, "label_mm3": 100.0 * (9 - i)} for i in range(10)]
    roles = choose(rows)
    assert roles["c9"] == ("best",)
    assert roles["c0"] == ("worst",)
    assert "median" in roles["c4"]
    shared = {case for case, of_case in roles.items() if "shared" in of_case}
    other = choose([{**row, "dice": 1 - row["dice"]} for row in rows])
    assert len(shared) == 3
    assert shared == {case for case, of_case in other.items() if "shared" in of_case}


def test_a_single_case_without_a_label_is_everything_but_shared():
    assert choose([{"case": "c", "dice": 1.0, "label_pixels": 0}]) == {"c": ("best", "median", "worst")}


def test_a_crop_is_around_the_largest_piece_and_inside_the_volume():
    mask = np.zeros((200, 50, 120), np.uint8)
    mask[0, 0, 0] = 1
    mask[180:190, 20:30, 60:64] = 2
    window = crop_around(mask, 96)
    assert [(part.start, part.stop) for part in window] == [(104, 200), (0, 96), (14, 110)]
    assert mask[window].shape == (96, 50, 96)
    assert crop_around(np.zeros((100, 4)), 10) == (slice(45, 55), slice(0, 10))


def test_large_pictures_are_thinned():
    large = preview((1025, 40))
    assert large.thinned().label.shape == (342, 14)
    assert large.thinned().image.shape == (1, 342, 14)
    assert preview((512, 40)).thinned().label.shape == (512, 40)


def test_what_is_kept_of_a_volume_does_not_keep_all_of_it():
    whole = preview((40, 30, 20))
    for small in (whole.cropped(8), whole.sliced()):
        assert all(part.base is None for part in (small.image, small.label, small.prediction))


def test_the_lung_window_is_of_hu():
    hu = np.array([-1000.0, -600.0, 150.0, 1000.0])
    np.testing.assert_array_equal(in_window((hu + 1000) / 2000, (-1000, 1000)), [60, 128, 255, 255])
    unit = np.array([0.0, 0.5, 1.0], np.float32)
    np.testing.assert_array_equal(in_window(unit, None), [0, 128, 255])
    np.testing.assert_array_equal(unit, [0.0, 0.5, 1.0])


def test_previews_come_back_as_written(tmp_path):
    write_previews(tmp_path, [preview(), preview(case="<b>", roles=("shared",)).sliced()])
    first, second = read_previews(tmp_path)
    np.testing.assert_array_equal(first.image, preview().image)
    assert (second.case, second.roles, second.label.shape) == ("<b>", ("shared",), (20, 18, 1))
    assert read_previews(tmp_path / "elsewhere") == []
    (tmp_path / "previews.npz").write_bytes((tmp_path / "previews.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"previews\.npz cannot be read"):
        read_previews(tmp_path)


def test_reading_needs_no_torch():
    code = "import sys, segxfer3d.evaluation.previews; print([m for m in ('torch', 'monai') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_images_are_kept_whole(tmp_path):
    run_bundle(
        BUNDLES / "unet2d_finetune.json", output_dir=str(tmp_path / "runs" / "1"), init="random", image_size=32,
        generated_images=20, label_fraction=None, label_count=8, max_epochs=1, steps_per_epoch=1, batch_size=2,
        backbone="conrec", progress=False, device="cpu",
    )  # fmt: skip
    found = read_previews(tmp_path / "runs" / "1")
    assert {kept.image.shape for kept in found} == {(3, 32, 32)}
    rows = {
        row["case"]: row
        for row in csv.DictReader((tmp_path / "runs" / "1" / "cases.csv").read_text(encoding="utf-8").splitlines())
    }
    for kept in found:
        assert (kept.prediction > 0).sum() == float(rows[kept.case]["prediction_pixels"])
        assert (kept.label > 0).sum() == float(rows[kept.case]["label_pixels"])
