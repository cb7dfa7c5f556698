"""Which images a pretext is watched with: those that validate, and those that it is probed with."""

import json

import pytest
import torch
from PIL import ExifTags, Image

from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.jobs import pretrain_images
from tests.data.image_files import noise, save, square
from tests.jobs.image_runs import lines, read, run
from tests.jobs.volume_sets import MARKS
from tests.training.test_resume import stop_at

pytestmark = MARKS


@pytest.fixture
def held(monkeypatch):
    """The names of the images that are held, of each part a list: of the pretraining part first."""
    parts = []
    original = pretrain_images.HeldImages

    def holding(*arguments, cases, **more):
        parts.append([case.name for case in cases])
        return original(*arguments, cases=cases, **more)

    monkeypatch.setattr(pretrain_images, "HeldImages", holding)
    return parts


def pretrain(folder, shapes, **knobs):
    run(
        "reconstruction_pretrain", folder, dataset_dir=str(shapes), validation_fraction=0.5, validation_interval=1,
        **knobs,
    )  # fmt: skip
    return read(folder, "split.json")["validation"]


def test_of_more_images_that_validate_than_may_be_some_are_drawn(held, shapes, tmp_path, monkeypatch):
    everyone = pretrain(tmp_path / "all", shapes, max_epochs=1)
    assert held.pop() == everyone
    assert "validated" not in read(tmp_path / "all", "made_from.json")
    monkeypatch.setattr(pretrain_images, "VALIDATED", 6)
    chosen = {}
    for name, knobs in {"a": {}, "b": {"seed": 1}, "other": {"split_seed": 1}}.items():
        validation = pretrain(tmp_path / name, shapes, max_epochs=1, **knobs)
        chosen[name] = held.pop()
        assert (len(chosen[name]), chosen[name]) == (6, sorted(chosen[name]))
        assert set(chosen[name]) < set(validation)
        assert chosen[name] != validation[:6]
    assert chosen["a"] == chosen["b"] != chosen["other"]
    assert len({name.split("_")[0] for name in chosen["a"]}) > 2, chosen  # the first by name are of one or two classes


@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_that_goes_on_validates_on_those_that_it_began_with(earlier, held, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_images, "VALIDATED", 6)
    with monkeypatch.context() as patch:
        if earlier:  # a build that took the first by name
            patch.setattr(pretrain_images, "_validated", lambda options, run, cases: cases[:6])
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            pretrain(tmp_path / "run", shapes)
    began = held.pop()
    for _ in range(2):
        validation = pretrain(tmp_path / "run", shapes, resume=True)
        assert held.pop() == began
    assert (began == validation[:6]) == earlier
    kept = json.loads((tmp_path / "run" / "made_from.json").read_text(encoding="utf-8"))
    assert ("validated" in kept) != earlier


@pytest.fixture
def probed(monkeypatch):
    """What is held to probe with, for each of the two sides of every run: the samples' images."""
    sides = []
    original = ImagePreprocessing.hold

    def holding(*arguments, **more):
        items = original(*arguments, **more)
        if not more["labels"]:
            sides.append([items[number]["image"] for number in range(len(items))])
        return items

    monkeypatch.setattr(ImagePreprocessing, "hold", holding)
    return sides


def pets(root, orientation=1):
    """Images of two breeds whose masks lie on the pixels as they are stored."""
    for number, name in enumerate(f"{breed}/{n:02}" for breed in ("beagle", "pug") for n in range(12)):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        save(root / "images" / f"{name}.png", noise((16, 16), seed=number), exif=exif)
        save(root / "masks" / f"{name}.png", square((16, 16)))
    return root


@pytest.mark.parametrize(
    ("bundle", "knobs"),
    [("reconstruction_pretrain", {"exif": "stored"}), ("segmentation_pretrain", {"exif": "stored"})],
)
def test_probes_see_images_turned_as_they_pretrain(bundle, knobs, probed, tmp_path):
    once = {"max_epochs": 1, "monitor_interval": 1, "validation_fraction": 0}
    run(bundle, tmp_path / "upright", dataset_dir=str(pets(tmp_path / "a")), **once)
    upright, probed[:] = list(probed), []
    run(bundle, tmp_path / "turned", dataset_dir=str(pets(tmp_path / "b", 6)), **once, **knobs)
    assert [len(side) for side in probed] == [len(side) for side in upright] == [17, 7]
    for side, other in zip(upright, probed, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(side, other, strict=True))


def test_a_run_of_before_goes_on_with_its_probes(probed, tmp_path, monkeypatch):
    knobs = {"dataset_dir": str(pets(tmp_path / "set", 6)), "exif": "stored", "monitor_interval": 1, "max_epochs": 3}
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run("reconstruction_pretrain", tmp_path / "run", **knobs)
    as_stored, probed[:] = list(probed), []
    kept = read(tmp_path / "run", "made_from.json")
    assert kept.pop("probed") == "as they pretrain"
    (tmp_path / "run" / "made_from.json").write_text(
        json.dumps(kept), encoding="utf-8"
    )  # as a build of before wrote it
    run("reconstruction_pretrain", tmp_path / "run", **knobs, resume=True)
    for side, other in zip(as_stored, probed, strict=True):
        assert all(torch.equal(one, two.rot90(1, (1, 2))) for one, two in zip(side, other, strict=True))


def test_images_that_are_not_there_leave_the_probe_as_it_is(tmp_path):
    names = [f"{breed}_{number}" for breed in ("beagle", "pug") for number in range(13)]
    for number, name in enumerate(names[1:]):
        save(tmp_path / "set" / "images" / f"{name}.jpg", noise(seed=number))
    listed = "".join(f"{name} {1 + (number > 12)} 2 1\n" for number, name in enumerate(names))
    (tmp_path / "set" / "annotations").mkdir()
    (tmp_path / "set" / "annotations" / "list.txt").write_text(listed, encoding="utf-8")
    run(
        "reconstruction_pretrain", tmp_path / "run", dataset_dir=str(tmp_path / "set"), skip_bad_cases=True,
        max_epochs=1, monitor_interval=1, validation_fraction=0,
    )  # fmt: skip
    assert "neighbor_accuracy" in lines(tmp_path / "run")[-1]


def test_a_single_patient_has_no_others_to_be_probed_on(tmp_path):
    once = {"dataset_dir": str(pets(tmp_path / "set")), "max_epochs": 1, "monitor_interval": 1}
    run("classification_pretrain", tmp_path / "run", **once, validation_fraction=0, patient_pattern="g")
    assert "neighbor_accuracy" not in lines(tmp_path / "run")[-1]


@pytest.mark.parametrize("bundle", ["reconstruction_pretrain", "segmentation_pretrain", "classification_pretrain"])
def test_no_patient_is_on_both_sides_of_a_probe(bundle, tmp_path, monkeypatch):
    sides = []
    original = pretrain_images.hold_out

    def holding(cases, *more, **options):
        sides[:] = original(cases, *more, **options)
        return tuple(sides)

    monkeypatch.setattr(pretrain_images, "hold_out", holding)
    once = {"dataset_dir": str(pets(tmp_path / "set")), "max_epochs": 1, "monitor_interval": 1}
    run(bundle, tmp_path / "run", **once, validation_fraction=0, patient_pattern=r"\d$")
    fit, test = ({case.name[-1] for case in side} for side in sides)
    assert (len(fit), len(test), fit & test) == (7, 3, set())
