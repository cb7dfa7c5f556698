"""A run goes on with what it was started with; anything else is refused by name, and nothing recorded changes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import CheckReport
from segxfer3d.errors import InputError
from segxfer3d.jobs.source import Source
from segxfer3d.run.made_from import MadeFrom, _moved
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs import image_runs
from tests.jobs.test_bad_volumes import TINY, pytestmark
from tests.jobs.volume_sets import AFFINE, BUNDLES, SHAPE, image, label, labels, write_dataset
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


def added(root):
    for number in range(6, 12):
        write_nifti(root / "imagesTr" / f"p{number}.nii.gz", ct(SHAPE, number), AFFINE)
        write_nifti(root / "labelsTr" / f"p{number}.nii.gz", label(), AFFINE)


def gone(root):
    image(root).unlink()
    labels(root).unlink()


def other_image(root):
    write_nifti(image(root), ct(SHAPE, 99), AFFINE)


def elsewhere(root):
    moved = AFFINE.copy()
    moved[0, 3] += 7
    write_nifti(image(root), ct(SHAPE, 1), moved)
    write_nifti(labels(root), label(), moved)


def other_label(root):
    write_nifti(labels(root), np.roll(label(), 1, 0), AFFINE)


def other_modality(root):
    pairs = [{"image": f"imagesTr/p{i}.nii.gz", "label": f"labelsTr/p{i}.nii.gz"} for i in range(6)]
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "lung"}, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


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


def split_of(root):
    return json.loads((root.parent / "run" / "split.json").read_text(encoding="utf-8"))


def swapped(root, one, other, files):
    for file in files:
        (file(root, one)).rename(root / "away")
        (file(root, other)).rename(file(root, one))
        (root / "away").rename(file(root, other))


def copied(root, one, other, files):
    for file in files:
        shutil.copy(file(root, one), file(root, other))


def written_anew(root, one, other, files):
    """The values of one under the name of the other, which is another file of them."""
    import nibabel

    for file in files:
        read = nibabel.load(file(root, one))
        write_nifti(file(root, other), np.asanyarray(read.dataobj), read.affine)


def image_of(root, name):
    return root / "imagesTr" / f"{name}.nii.gz"


def label_of(root, name):
    return root / "labelsTr" / f"{name}.nii.gz"


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


def cases(**values):
    return {name: list(pair) for name, pair in values.items()}


FIRST = cases(a="1x", b="2y", c="3x", d="4z")  # a, b train, c is tested, d in no part
PARTS = {"a": "train", "b": "train", "c": "test"}


@pytest.mark.parametrize(
    ("states", "now", "empty", "told"),
    [
        ([FIRST], FIRST, (), []),
        ([FIRST], cases(a="2y", b="1x", c="3x", d="4z"), (), []),
        ([FIRST], cases(a="3x", b="2y", c="1x", d="4z"), (), ["a of train has the image of c", "c of test has"]),
        ([FIRST], cases(a="4x", b="2y", c="3x", d="4z"), (), []),
        ([FIRST], cases(a="5x", b="2y", c="5x", d="4z"), (), ["a of train has the image of c of test", "c of test"]),
        ([FIRST], cases(a="1x", b="2y", c="3y", d="4z"), (), ["c of test has the label of b of train"]),
        ([FIRST], cases(a="1x", b="2y", c="3y", d="4z"), ("c",), []),  # an empty label is nobody's
        ([FIRST], cases(a="1x", b="2x", c="3x", d="4z"), (), []),  # a part that had that label, too
        ([FIRST, cases(a="9x", b="2y", c="3x")], cases(a="9x", b="2y", c="1x"), (), ["c of test has the image of a"]),
        ([FIRST, cases(a="9x", b="2y", c="3x")], cases(a="1x", b="2y", c="3x"), (), []),  # its own again
        ([cases(a="1", b="2", c="3")], cases(a="1", b="2", c="4"), (), []),  # without labels
    ],
)
def test_whose_values_are_another_parts(states, now, empty, told):
    found = list(_moved(states, now, PARTS, empty))
    assert len(found) == len(told)
    assert all(text.startswith(start) for text, start in zip(found, told, strict=True)), found


def test_what_a_killed_start_left_is_no_record_of_the_next(tmp_path):
    for value in ("1", "2"):  # no run.json was written in between
        started = MadeFrom(tmp_path)
        started.take(cases={"a": [value]})
        started.write()
    assert json.loads((tmp_path / "made_from.json").read_text(encoding="utf-8")) == {"cases": {"a": ["2"]}}
    (tmp_path / "run.json").write_text('{"knobs": {}}', encoding="utf-8")
    goes_on = MadeFrom(tmp_path, resume=True)
    with pytest.raises(InputError, match=r"1 case has other values \(a\)"):
        goes_on.take(cases={"a": ["1"]})


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


@pytest.mark.parametrize("dims", [2, 3])
def test_a_model_notes_all_that_it_trained_on(dims):
    trained = Case("a", Path("a"))
    look = (1.0, 1.0, 1.0), ((0.0, 9.0),)
    report = CheckReport((trained,), contents={"a": "new"}, seen={"a": look})
    before = {"cases": {"a": ["old", "x"], "b": ["b", "y"]}, "seen": {"a": {"spacing": [2, 1, 1], "values": [[-5, 3]]}}}
    source = Source(CaseSet(Path("set"), "folder", dims, (trained,)), report, None, None, False, earlier=[before, {}])
    known = source.provenance([trained])
    assert known["contents"] == ["new", "old"]
    if dims == 3:
        assert known["seen"] == {"spacing": [[1, 1, 1], [1.5, 1, 1], [2, 1, 1]], "values": [-5, 9]}


def test_states_of_the_data_that_a_run_had_before(tmp_path):
    for count, value in enumerate("1232"):  # the last goes on with what is there
        goes_on = MadeFrom(tmp_path, resume=count > 0, accept=True)
        goes_on.take(cases={"a": [value]}, seen={"a": {"spacing": [1.0] * 3, "values": [[0, int(value)]]}})
        goes_on.write()
        (tmp_path / "run.json").write_text('{"knobs": {}}', encoding="utf-8")
        states = [(state["cases"]["a"], state["seen"]["a"]["values"]) for state in goes_on.earlier]
        assert states == [([before], [[0, int(before)]]) for before in "1232"[:count]]


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


@pytest.mark.parametrize("name", ["unet2d_finetune", "segmentation_pretrain", "classification_pretrain"])
def test_images_and_their_masks(name, tmp_path, shapes, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(shapes, root)
    more = {"init": "random", "label_count": 4} if "finetune" in name else {}
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            image_runs.run(name, tmp_path / "run", dataset_dir=str(root), **more)
    made_from = json.loads((tmp_path / "run" / "made_from.json").read_text(encoding="utf-8"))
    fields = {"unet2d_finetune": 2, "segmentation_pretrain": 2, "classification_pretrain": 3}[name]
    assert {len(entry) for entry in made_from["cases"].values()} == {fields}
    folder = "images" if "classification" in name else "masks"
    path = sorted((root / folder).rglob("*.png"))[0]
    with Image.open(path) as picture:
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned.save(path)
    with pytest.raises(InputError, match=rf"1 case has other values \(.*{path.stem}\)"):
        image_runs.run(name, tmp_path / "run", dataset_dir=str(root), resume=True, **more)
