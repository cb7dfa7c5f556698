"""Galleries and plots: what is in them, that they repeat, and what they refuse."""

import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from segxfer3d.errors import InputError
from segxfer3d.report.figures import style
from segxfer3d.report.figures.cka import cka_heat_map, draw_cka, save_cka
from segxfer3d.report.figures.galleries import Sample, dataset_gallery, mask_gallery, reconstruction_gallery
from segxfer3d.report.figures.means import Mean, Patients, dice_over_labels, patient_scatter
from segxfer3d.report.figures.plots import Bar, dice_over_steps, forest


def volume(name="case", shape=(12, 10, 6)):
    """A box at the patient's right front, and brighter there."""
    label = np.zeros(shape, np.uint8)
    label[8:11, 7:9, 4] = 1
    return Sample(name, (label + 0.1)[None], label, (1.0, 1.0, 2.0))


def picture(name="photo", channels=3):
    label = np.zeros((9, 12), np.uint8)
    label[1:4, 1:5], label[6:, 8:] = 1, 2
    return Sample(name, np.random.default_rng(0).random((channels, 9, 12)), label)


def words(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def masks_of(sample):
    return mask_gallery([sample], {"random": [sample.label], "encoder": [0 * sample.label]}, {1: "nodule"})


def pixels(figure):
    """Colors (rows, columns, 4) of the figure at 100 dots an inch."""
    canvas = FigureCanvasAgg(figure)
    with style.styled():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba()) / 255


def share(figure, axis, color):
    """Rows and columns, as shares of a panel from its upper left, of the pixels that have about this color."""
    image = pixels(figure)
    box = axis.get_window_extent()
    height = len(image)
    part = image[round(height - box.y1) : round(height - box.y0), round(box.x0) : round(box.x1), :3]
    rows, columns = np.nonzero(np.abs(part - mpl.colors.to_rgb(color)).max(axis=-1) < 0.15)
    return rows / part.shape[0], columns / part.shape[1]


def test_masks_of_volumes_lie_where_they_are():
    figure = masks_of(volume())
    text = words(figure)
    assert {"image", "random", "encoder", "R", "L", "truth", "prediction", "case\nslice 4"} <= set(text)
    assert any("image left is patient right" in line for line in text)
    image, random, encoder = figure.axes
    shown = image.images[0].get_array()
    assert shown.shape == (10, 12)
    assert np.argwhere(shown > 0.5).tolist() == [[r, c] for r in (1, 2) for c in (1, 2, 3)]
    rows, columns = share(figure, encoder, style.TRUTH)
    assert (rows.min(), rows.max()) == pytest.approx((0.1, 0.3), abs=0.04)
    assert (columns.min(), columns.max()) == pytest.approx((1 / 12, 4 / 12), abs=0.04)
    assert not len(share(figure, encoder, style.PREDICTION)[0])
    assert len(share(figure, random, style.PREDICTION)[0])
    assert not len(share(figure, image, style.TRUTH)[0])


def test_masks_of_color_pictures_by_class_with_their_dice():
    sample = picture()
    classes = {1: "cat", 2: "dog"}
    figure = mask_gallery([sample] * 2, {"whole": [sample.label] * 2}, classes, dice={"whole": [0.5, 0.25]})
    assert {"cat", "dog", "truth", "prediction", "dice 0.50", "dice 0.25", "photo"} <= set(words(figure))
    assert not any("patient" in text for text in words(figure))
    assert figure.axes[0].images[0].get_array().shape == (9, 12, 3)


def test_margins_show_the_surroundings_of_the_label():
    sample = volume()
    figure = mask_gallery([sample], {"random": [sample.label]}, {1: "nodule"}, margin=1)
    assert figure.axes[0].images[0].get_array().shape == (4, 5)
    empty = Sample("empty", sample.image, 0 * sample.label)
    figure = mask_gallery([empty], {"random": [sample.label]}, {1: "nodule"}, margin=1)
    assert figure.axes[0].images[0].get_array().shape == (10, 12)


def test_windows_become_black_and_white():
    sample = volume()
    figure = mask_gallery([sample], {}, {1: "nodule"}, window=(0.1, 0.6))
    assert np.unique(figure.axes[0].images[0].get_array()).tolist() == [0, 1]


def test_reconstructions_have_a_column_each():
    images = np.random.default_rng(0).random((2, 1, 8, 8, 5))
    columns = {"input": images, "corrupted": 0 * images, "output": images, "target": images}
    figure = reconstruction_gallery(columns, ["a", "b"])
    assert {*columns, "a", "b", "R", "L"} <= set(words(figure))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), images[0, 0, ::-1, ::-1, 2].T)
    photos = np.random.default_rng(0).random((2, 3, 8, 9))
    figure = reconstruction_gallery({"input": photos, "corrupted regions": photos[:, :1]}, ["a", "b"])
    assert figure.axes[1].images[0].get_array().shape == (8, 9)


def test_data_sets_are_shown_with_and_without_masks():
    figure = dataset_gallery([picture(f"p{i}", channels=1) for i in range(5)], {1: "cat", 2: "dog"}, columns=3)
    assert len(figure.axes) == 4 * 3
    assert {f"p{i}" for i in range(5)} | {"cat", "dog"} <= set(words(figure))
    assert len(figure.axes[3].images) == 3
    assert [len(axis.images) for axis in figure.axes[6:]] == [1, 1, 0, 3, 3, 0]


def test_dice_has_a_mean_and_a_band_of_seeds():
    values = np.array([[0.0, 0.4, 0.6], [0.2, 0.6, 1.0]])
    figure = dice_over_steps({"5 patients": {"random": ([0, 10, 20], values), "mine": ([0, 10, 20], values[:1])}})
    (axis,) = figure.axes
    mean, seeds, other = axis.lines
    assert (mean.get_color(), other.get_color()) == (style.INIT_LINES["random"][0], style.PALETTE[0])
    np.testing.assert_allclose(mean.get_ydata(), [0.1, 0.5, 0.8])
    np.testing.assert_allclose(seeds.get_xydata(), [*zip([0, 10, 20] * 2, values.ravel(), strict=True)])
    (band,) = axis.collections
    corners = band.get_paths()[0].vertices
    assert corners[corners[:, 0] == 20][:, 1].max() == pytest.approx(0.8 + np.std([0.6, 1.0], ddof=1))
    assert any("mean of 1 to 2 seeds" in text for text in words(figure))


def points(axis, marker):
    """Where an axis has points of this form."""
    return [tuple(point) for line in axis.lines if line.get_marker() == marker for point in line.get_xydata()]


def test_differences_show_their_seeds():
    figure = forest({"5": [Bar("a − b", 1.0, (0.5, 1.5), "#000000", (0.8, 1.2)), Bar("c − b", 2.0, None, "#000000")]})
    (axis,) = figure.axes
    assert points(axis, ".") == [(0.8, 0.24), (1.2, 0.24)]
    assert points(axis, "o") == [(1.0, 0.0), (2.0, 1.0)]


def test_dice_over_labels_has_intervals_and_trainings():
    labels = {"2": {"random": Mean(50.0, (40.0, 60.0), (45.0, 55.0))}, "all": {"random": Mean(70.0, None, (70.0,))}}
    figure = dice_over_labels({"nodules": labels}, "dice in percent", "labeled patients")
    (axis,) = figure.axes
    assert [value for _, value in points(axis, ".")] == [45.0, 55.0, 70.0]
    assert [value for _, value in points(axis, "o")] == [50.0, 70.0]
    (bars,) = axis.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[40.0, 60.0]]
    assert {"2", "all", "random", "nodules", "labeled patients"} <= set(words(figure))
    with pytest.raises(InputError, match="no means"):
        dice_over_labels({"nodules": {"2": {}}})


def test_patients_are_drawn_against_each_other():
    two = Patients("encoder", "random", np.array([50.0, 60.0, 30.0]), np.array([40.0, 50.0, 35.0]))
    figure = patient_scatter({"2": two, "5": two}, "dice")
    assert points(figure.axes[0], "o") == [(40.0, 50.0), (50.0, 60.0), (35.0, 30.0)]
    assert {"2\n2 of 3 above", "dice, random", "dice, encoder"} <= set(words(figure))
    with pytest.raises(InputError, match="no patients"):
        patient_scatter({})


def test_names_keep_their_lines():
    looks = style.lines(["mine", "encoder", "other"])
    assert looks["encoder"] == style.INIT_LINES["encoder"]
    assert len(set(looks.values())) == 3
    assert len(set(style.lines([f"run {i}" for i in range(18)]).values())) == 18


def test_similarities_are_written_in_their_fields():
    figure = cka_heat_map(["a", "b"], [[1, -0.001], [-0.001, np.nan]])
    assert {"1.00", "0.00", "–"} <= set(words(figure))
    assert "-0.00" not in words(figure)


def test_the_similarities_of_a_file_are_drawn_beside_it(tmp_path):
    content = {"names": ["a", "b"], "cka": [[1, 0.25], [0.25, None]], "layer": "encoder", "patches": 16}
    volumes = content | {"patch_size": [8, 8, 8], "cases": ["p", "q"]}
    assert "linear CKA of encoder, unbiased" in words(draw_cka(content))
    assert "linear CKA of encoder, unbiased\n16 patches of 2 volumes" in words(draw_cka(volumes, on_what=True))
    assert "linear CKA of encoder, unbiased\n16 images" in words(
        draw_cka(content | {"patch_size": [8, 8]}, on_what=True)
    )
    (tmp_path / "cka.json").write_text(json.dumps(volumes))
    assert [path.name for path in save_cka(tmp_path)] == ["cka.png", "cka.svg"]
    assert (tmp_path / "cka.png").read_bytes()[1:4] == b"PNG"
    for bad in ("[", "{}", '{"names": ["a"], "cka": "no"}'):
        (tmp_path / "cka.json").write_text(bad)
        with pytest.raises(InputError, match=r"cka\.json cannot be drawn"):
            save_cka(tmp_path)
    with pytest.raises(InputError, match="cannot be drawn"):
        save_cka(tmp_path / "none")


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_files_repeat_and_hold_no_date(tmp_path, monkeypatch, suffix):
    first = style.save(masks_of(volume()), tmp_path / f"first{suffix}").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    with mpl.rc_context({"font.size": 30, "savefig.dpi": 30}):  # a user's settings change nothing
        second = style.save(masks_of(volume()), tmp_path / f"second{suffix}").read_bytes()
    assert first == second
    assert b"Date" not in first


def test_the_users_settings_stay():
    with mpl.rc_context({"font.size": 30}):
        masks_of(volume())
        assert mpl.rcParams["font.size"] == 30


def test_pictures_need_no_torch():
    code = "import sys; from segxfer3d.report.figures import galleries, plots; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_does_not_fit_is_refused(tmp_path):
    sample = volume()
    with pytest.raises(InputError, match="expected its image's"):
        Sample("x", sample.image, sample.label[1:])
    with pytest.raises(InputError, match=r"x: an image of shape \(2, 4, 4\)"):
        Sample("x", np.zeros((2, 4, 4)), np.zeros((4, 4)))
    with pytest.raises(InputError, match="no samples"):
        dataset_gallery([], {})
    with pytest.raises(InputError, match="random: 2 masks or figures for 1 samples"):
        mask_gallery([sample], {"random": [sample.label] * 2}, {1: "nodule"})
    with pytest.raises(InputError, match="random, case: a mask of shape"):
        mask_gallery([sample], {"random": [sample.label[1:]]}, {1: "nodule"})
    with pytest.raises(InputError, match="expected one grid"):
        reconstruction_gallery({"a": np.zeros((2, 1, 4, 4)), "b": np.zeros((2, 1, 4, 5))}, ["x", "y"])
    with pytest.raises(InputError, match="no images"):
        reconstruction_gallery({}, [])
    with pytest.raises(InputError, match="no curves"):
        dice_over_steps({"5": {}})
    with pytest.raises(InputError, match=r"5, random: steps \(3,\) and dice \(1, 2\)"):
        dice_over_steps({"5": {"random": ([0, 1, 2], [[0, 1]])}})
    with pytest.raises(InputError, match="for 1 names"):
        cka_heat_map(["a"], np.eye(2))
    with pytest.raises(InputError, match=r"expected a name that ends in .png, .pdf, .svg"):
        style.save(masks_of(sample), tmp_path / "x.gif")
    with pytest.raises(InputError, match="could not be saved"):
        style.save(masks_of(sample), tmp_path / "none" / "x.png")
