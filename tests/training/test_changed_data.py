"""A run goes on with what it was started with; anything else is refused by name, and nothing recorded changes."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.test_bad_volumes import TINY, pytestmark
from tests.jobs.volume_sets import AFFINE, BUNDLES, SHAPE, label, write_dataset
from tests.training.alterations import (
    added,
    copied,
    elsewhere,
    gone,
    image_of,
    label_of,
    other_image,
    other_label,
    other_modality,
    split_of,
    swapped,
    written_anew,
)
from tests.training.test_resume import run, stop_at

__all__ = ["pytestmark"]

KNOBS = {**TINY, "patch_size": [16, 16, 16], "max_epochs": 3, "num_workers": 0}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Data sets, and runs on them that were stopped in their second epoch; by the bundle's name."""
    root = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        for name in ("genesis_pretrain", "genesis_finetune"):
            data = write_dataset(root / name / "set", patients=6)
            with pytest.raises(KeyboardInterrupt):
                run(name, root / name / "run", KNOBS, dataset_dir=str(data))
    return root


@pytest.fixture
def again(stopped, tmp_path):
    """Copies the data set and the run of a bundle to a folder of this test; gives a function that goes on with it."""

    def copied(name):
        shutil.copytree(stopped / name, tmp_path / name)
        where = tmp_path / name
        described = where / "run" / "run.json"
        text = described.read_text(encoding="utf-8").replace(str(stopped), str(tmp_path))
        described.write_text(text, encoding="utf-8")
        return where / "set", lambda **more: run(
            name, where / "run", KNOBS, dataset_dir=str(where / "set"), resume=True, **more
        )

    return copied


CHANGES = {
    "cases added": (added, r"else: 6 cases were not there before \(p10, p11, p6, .*split: of test \d came"),
    "a case gone": (gone, r"else: 1 case is not there any more \(p1\); split: of \w+ .*1 went \(p1\)"),
    "another image": (other_image, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another place": (elsewhere, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another label": (other_label, r"something else: 1 case has other values \(p1\)\. Each part has the same cases"),
    "another modality": (other_modality, r"data: classes\.1 .*, not lung.*data: modality\.0 CT, not MR"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_data_are_refused_by_name_and_nothing_is_touched(again, change):
    root, go_on = again("genesis_finetune")
    alter, message = CHANGES[change]
    alter(root)
    before = contents(root.parent / "run")
    with pytest.raises(InputError) as caught:
        go_on()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert contents(root.parent / "run") == before
    if "same cases" not in message:  # what changes a part cannot be accepted
        with pytest.raises(InputError, match="Bring back what it was, or start a new run"):
            go_on(accept_changed_data=True)
        assert contents(root.parent / "run") == before


def test_a_pretraining_looks_at_its_images(again):
    root, go_on = again("genesis_pretrain")
    other_image(root)
    with pytest.raises(InputError, match=r"1 case has other values \(p1\)"):
        go_on()


def test_changed_values_can_be_accepted_and_that_is_kept(again):
    root, go_on = again("genesis_finetune")
    kept = {name: (root.parent / "run" / name).read_bytes() for name in ("made_from.json", "split.json", "labels.json")}
    other_label(root)
    go_on(accept_changed_data=True)
    assert (root.parent / "run" / "model.pt").is_file()
    assert {name: (root.parent / "run" / name).read_bytes() for name in kept} == kept
    (entry,) = json.loads((root.parent / "run" / "accepted.json").read_text(encoding="utf-8"))
    assert entry["changed"] == ["1 case has other values (p1)"]
    first = json.loads(kept["made_from.json"])["cases"]
    assert {name for name in first if first[name] != entry["cases"][name]} == {"p1"}
    assert first["p1"][0] == entry["cases"]["p1"][0]  # the image is the same
    go_on()  # nothing is another than what was accepted
    other_image(root)
    with pytest.raises(InputError, match=r"It is finished, so nothing of it changes; evaluate measures its model"):
        go_on(accept_changed_data=True)


BUNDLE = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
EDITS = {
    "another loss": (
        {"loss": {"_target_": "monai.losses.DiceLoss", "sigmoid": True}},
        r"configuration: loss\._target_ .*, not monai\.losses\.DiceLoss;",
    ),
    "an argument": (
        {"optimizer::clip_norm": 0.5, "optimizer::momentum": 0.5},
        r"else: configuration: optimizer\.clip_norm @clip_norm, not 0\.5; configuration: optimizer\.momentum nothing",
    ),
    "one more thing run": (
        {"run": [*BUNDLE["run"], "$print(1)"]},
        r"else: steps: run\.4 nothing, not \$print\(1\)\. B",
    ),
    "one more thing begun with": ({"initialize::2": "$print(1)"}, r"steps: initialize\.2 .*, not \$print\(1\)"),
    "another end": ({"finalize": ["$print(1)"]}, r"steps: finalize\.0 \$@run_folder\.end\(\), not \$print\(1\)\. B"),
    "one import more": (
        {"imports": [*BUNDLE["imports"], "$import math"]},
        rf"imports\.{len(BUNDLE['imports'])} nothing, not \$import math\.",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_bundle_is_made_of_is_compared_too(again, edit):
    root, go_on = again("genesis_finetune")
    before = contents(root.parent / "run")
    more, message = EDITS[edit]
    with pytest.raises(InputError) as caught:
        go_on(**more)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert contents(root.parent / "run") == before


MOVES = {
    "a pair is swapped": (swapped, ("train", "test"), (image_of, label_of)),
    "images are swapped": (swapped, ("train", "validation"), (image_of,)),
    "a tested one trains": (copied, ("test", "train"), (image_of,)),
    "a trained one is tested": (written_anew, ("train", "test"), (image_of,)),
}


@pytest.mark.parametrize("move", MOVES)
def test_what_was_in_another_part_is_never_accepted(again, move):
    root, go_on = again("genesis_finetune")
    how, parts, files = MOVES[move]
    one, other = (split_of(root)[part][0] for part in parts)
    how(root, one, other, files)
    before = contents(root.parent / "run")
    for accept in (False, True):
        with pytest.raises(
            InputError, match=rf"; {other} of {parts[1]} has the image of {one} of {parts[0]}|{one} of {parts[0]} has"
        ) as caught:
            go_on(accept_changed_data=accept)
        assert "Parts must not mix: bring back what it was, or start a new run" in str(caught.value)
        assert "--accept_changed_data" not in str(caught.value)
    assert contents(root.parent / "run") == before


def test_what_was_trained_on_in_between_is_not_tested(again, monkeypatch):
    root, go_on = again("genesis_finetune")
    trained, tested = split_of(root)["train"][0], split_of(root)["test"][0]
    shutil.copy(image_of(root, trained), root.parent / "first.nii.gz")
    write_nifti(image_of(root, trained), ct(SHAPE, 99), AFFINE)
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            go_on(accept_changed_data=True)
    shutil.copy(root.parent / "first.nii.gz", image_of(root, tested))
    with pytest.raises(InputError, match=rf"{tested} of test has the image of {trained} of train"):
        go_on(accept_changed_data=True)


def test_within_a_part_images_may_be_swapped(again):
    root, go_on = again("genesis_finetune")
    one, other = split_of(root)["train"][:2]
    swapped(root, one, other, (image_of, label_of))
    write_nifti(image_of(root, one), np.full(SHAPE, 40, np.int16), AFFINE * [[2], [2], [2], [1]])
    write_nifti(label_of(root, one), label(), AFFINE * [[2], [2], [2], [1]])
    go_on(accept_changed_data=True)
    assert (root.parent / "run" / "accepted.json").is_file()
    seen = checkpoint.read_model(root.parent / "run" / "model.pt")["provenance"]["seen"]
    assert seen["spacing"][2] == [2 * side for side in seen["spacing"][0]]  # what it trained on before, too


def test_another_checkpoint_under_the_same_name(stopped, tmp_path, monkeypatch):
    root = stopped / "genesis_finetune" / "set"
    pretrained = {**KNOBS, "dataset_dir": str(root), "max_epochs": 1}
    for seed in (0, 1):
        run("genesis_pretrain", tmp_path / f"pretrained{seed}", pretrained, seed=seed)
    knobs = {**KNOBS, "dataset_dir": str(root), "checkpoint": str(tmp_path / "model.pt")}
    shutil.copy(tmp_path / "pretrained0" / "model.pt", tmp_path / "model.pt")
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            finetune(tmp_path / "run", knobs)
    shutil.copy(tmp_path / "pretrained1" / "model.pt", tmp_path / "model.pt")
    with pytest.raises(
        InputError, match=r"started with something else: checkpoint [0-9a-f.]{60}, not [0-9a-f.]{60}\. Br"
    ):
        finetune(tmp_path / "run", knobs, resume=True)
    content = torch.load(tmp_path / "pretrained0" / "model.pt", weights_only=False)
    torch.save(content, tmp_path / "model.pt")  # another file of the same weights
    finetune(tmp_path / "run", knobs, resume=True)
    assert checkpoint.read_model(tmp_path / "run" / "model.pt")


def finetune(folder, knobs, **more):
    from segxfer3d.run.bundle import run_bundle
    from tests.jobs.volume_sets import BUNDLES

    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **{**knobs, "init": "encoder", **more})


def test_a_run_of_an_earlier_version_goes_on_and_keeps_it_from_then(again, caplog):
    root, go_on = again("genesis_finetune")
    path = root.parent / "run" / "made_from.json"
    before = path.read_bytes()
    with_earlier_options(root.parent / "run")
    path.unlink()
    (root.parent / "run" / "split.json").unlink()  # some kept none
    with caplog.at_level("INFO", "segxfer3d"):
        go_on()
    assert path.read_bytes() == before
    log = (root.parent / "run" / "log.txt").read_text(encoding="utf-8")
    assert re.search(r"warning: .*split\.json was not there; it is written of the data as they are now", log)


def with_earlier_options(folder):
    """Runs did not have this option before they kept what they were made from."""
    described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del described["knobs"]["accept_changed_data"]
    (folder / "run.json").write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize("both", [False, True])
def test_a_run_that_lost_what_it_was_made_from_does_not_go_on(again, both):
    root, go_on = again("genesis_finetune")
    (root.parent / "run" / "made_from.json").unlink()
    if both:
        (root.parent / "run" / "split.json").unlink()
    before = contents(root.parent / "run")
    with pytest.raises(InputError, match=r"resume: \S+made_from\.json is gone, .*; bring it back, or start a new run"):
        go_on()
    assert contents(root.parent / "run") == before


def test_other_records_of_the_start_are_written_again_which_is_said(again, caplog):
    root, go_on = again("genesis_finetune")
    names = ("split.json", "labels.json", "data_check.json", "transfer.json")
    before = {name: (root.parent / "run" / name).read_bytes() for name in names}
    for name in names:
        (root.parent / "run" / name).unlink()
    with caplog.at_level("INFO", "segxfer3d"):
        go_on()
    assert {name: (root.parent / "run" / name).read_bytes() for name in names} == before
    log = (root.parent / "run" / "log.txt").read_text(encoding="utf-8")
    for name in names:
        assert re.search(rf"resume: \S+{name} was gone; it is written again, of the same data as made_from\.json", log)


def test_what_is_left_of_a_run_is_no_place_for_another(again):
    root, go_on = again("genesis_finetune")
    (root.parent / "run" / "run.json").unlink()
    before = contents(root.parent / "run")
    with pytest.raises(InputError, match=r"resume: .* no run to go on with: metrics\.jsonl, but its run\.json is gone"):
        go_on()
    with pytest.raises(InputError, match=r"holds what a run left: metrics\.jsonl, but .* give another --output_dir"):
        run("genesis_finetune", root.parent / "run", KNOBS, dataset_dir=str(root))
    assert contents(root.parent / "run") == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cases": 3}'])
def test_a_damaged_record_is_named(again, text):
    root, go_on = again("genesis_finetune")
    (root.parent / "run" / "made_from.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"made_from\.json: damaged|cases 3, not \{"):
        go_on()
