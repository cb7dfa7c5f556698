"""Images that a benchmark measures, or that a fine-tuning tests on, are known when they pretrain, and it is said."""

from PIL import Image

from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.report.words import caveats
from segxfer3d.weights import checkpoint
from segxfer3d.weights.summary import summarize
from tests.data.image_files import noise, save
from tests.jobs.test_images import finetune, read, run
from tests.jobs.test_volumes import pytestmark

__all__ = ["pytestmark"]


def test_test_images_that_pretrained_are_said_under_any_name(shapes, tmp_path):
    """In the fine-tuning's files and its report; another format, folder and name change nothing."""
    paths = sorted((shapes / "images").rglob("*.png"))[:12]
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            (tmp_path / "others").mkdir(exist_ok=True)
            image.save(tmp_path / "others" / f"{number}.bmp")
    run("simclr_pretrain", tmp_path / "p", dataset_dir=str(tmp_path / "others"), max_epochs=1, validation_fraction=0)
    knobs = {"dataset_dir": str(shapes), "checkpoint": str(tmp_path / "p" / "model.pt"), "init": "encoder"}
    finetune(tmp_path / "f", **knobs, max_epochs=1)
    tested = set(read(tmp_path / "f", "split.json")["test"])
    shared = tested & {"_".join(path.relative_to(shapes / "images").with_suffix("").parts) for path in paths}
    (note,) = read(tmp_path / "f", "transfer.json")["notes"]
    assert note.startswith(
        f"warning: this checkpoint was trained on {len(shared)} of the {len(tested)} test images, without their masks"
    )
    (caveat,) = [line for line in caveats(results(collect(tmp_path))) if "test images" in line]
    assert caveat.startswith("encoder (")
    assert note.removeprefix("warning: ") in caveat


def test_the_official_validation_part_among_images_that_pretrain(tmp_path, caplog):
    caplog.set_level("INFO", "segxfer3d")
    for part, number in (("train", 5), ("val", 4)):
        names = [f"{part}_{index}" for index in range(number)]
        for seed, name in enumerate(names):
            save(tmp_path / "voc" / "JPEGImages" / f"{name}.jpg", noise((20, 30), seed=seed))
        listed = tmp_path / "voc" / "ImageSets" / "Segmentation" / f"{part}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("\n".join(names))
    knobs = {"dataset": "voc", "dataset_dir": str(tmp_path / "voc"), "max_epochs": 1, "validation_fraction": 0}
    for name, official, parts in (("all", False, {"train": 5, "val": 4}), ("train", True, {"train": 5})):
        caplog.clear()
        run("simclr_pretrain", tmp_path / name, **knobs, official_split=official)
        model = checkpoint.read_model(tmp_path / name / "model.pt")
        assert model["provenance"]["official_parts"] == parts
        assert f"  official_parts: {parts}" in summarize(tmp_path / name / "model.pt")
        assert ("4 of 9 images are of the official validation part of voc" in caplog.text) == (not official)
