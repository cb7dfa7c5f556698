"""What infer makes of images as people have them: pages, radiographs, other kinds, and files between them."""

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.open_image import size_and_turn
from segxfer3d.data.preprocessing.loaded_images import load_image
from segxfer3d.inference.inputs import find_inputs, kinds_of
from segxfer3d.run.bundle import run_bundle
from tests.data.dicom_files import stored, write_slices
from tests.data.image_files import noise, save, square
from tests.data.io.test_radiographs import radiograph
from tests.inference.models import image_model
from tests.jobs.test_bad_volumes import refused
from tests.jobs.test_volumes import pytestmark
from tests.jobs.volume_sets import BUNDLES

__all__ = ["pytestmark"]


def names(cases):
    return [case.name for case in cases]


def test_a_folder_of_everything(tmp_path, caplog):
    root, model = tmp_path / "in", image_model(tmp_path / "m.pt")
    save(root / "a.png", noise((20, 30)))
    save(root / "gray.png", noise((20, 30), 1))
    first, second = (Image.fromarray(noise((20, 30), seed=seed)) for seed in (1, 2))
    first.save(root / "s.tif", save_all=True, append_images=[second])
    radiograph(root / "xray")
    save(root / "@eaDir" / "a.png", noise((4, 4)))
    (root / "notes.txt").write_text("words")
    write_slices(root / "ct", stored())
    knobs = {"checkpoint": model, "input": str(root), "progress": False, "device": "cpu"}
    refused("infer", tmp_path, r"2 of 5 images cannot be used(.|\n)*gray\.png.*--image_kind color converts", **knobs)
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), image_kind="color", **knobs)
    masks = {path.name: size_and_turn(path)[0] for path in (tmp_path / "out").glob("*_mask.png")}
    assert masks == {
        "a_mask.png": (30, 20), "gray_mask.png": (30, 20), "s_page1_mask.png": (30, 20), "s_page2_mask.png": (30, 20),
        "xray_mask.png": (16, 12),
    }  # fmt: skip
    assert "2 files are passed over, which are no images to use (1 in @eaDir, 1 .txt)" in caplog.text
    assert "1 volumes are passed over, which the model is not for (ct)" in caplog.text


def test_one_file(tmp_path):
    path = radiograph(tmp_path / "1.2.840.5")
    assert kinds_of(path) == {2: "1.2.840.5"}
    assert names(find_inputs(path, dims=2)) == ["1.2.840.5"]
    pages = [Image.fromarray(noise(seed=seed)) for seed in range(11)]
    pages[0].save(tmp_path / "s.tif", save_all=True, append_images=pages[1:])
    cases = find_inputs(tmp_path / "s.tif", dims=2)
    assert names(cases)[::9] == ["s_page01", "s_page10"]
    assert {case.patient for case in cases} == {"s"}


@pytest.mark.parametrize("page", [0, 1])
def test_a_page_is_read_by_its_number(tmp_path, page):
    arrays = [noise(seed=seed) for seed in range(2)]
    first, second = map(Image.fromarray, arrays)
    first.save(tmp_path / "s.tif", save_all=True, append_images=[second])
    case = find_inputs(tmp_path / "s.tif", dims=2)[page]
    assert isinstance(case, Case)
    loaded = load_image(case, CaseSet(tmp_path, "folder", 2, (case,), official=False))
    np.testing.assert_array_equal(loaded.image, arrays[page].transpose(2, 0, 1))


def test_options_of_volumes_are_refused_beside_a_model_of_images(tmp_path):
    model = image_model(tmp_path / "m.pt")
    for folder in ("images", "masks"):
        for name in ("a", "b"):
            save(tmp_path / "in" / folder / f"{name}.png", noise((20, 30)) if folder == "images" else square((20, 30)))
    knobs = {"checkpoint": model, "progress": False, "device": "cpu"}
    of_images = f"of volumes; the model {model} is of images, expected none"
    evaluate = {**knobs, "dataset_dir": str(tmp_path / "in"), "part": "all"}
    refused("evaluate", tmp_path, f"store {tmp_path / 'st'}: {of_images}", store=str(tmp_path / "st"), **evaluate)
    refused("evaluate", tmp_path, f"store memory: {of_images}", store="memory", **evaluate)
    asked = {"channel_names": "T1", "modality": "MR"}
    refused(
        "infer", tmp_path, f"channel_names T1, modality MR: {of_images}", input=str(tmp_path / "in"), **asked, **knobs
    )
    refused("infer", tmp_path, "--store: no such knob", input=str(tmp_path / "in"), store="memory", **knobs)
    assert not (tmp_path / "st").exists()
