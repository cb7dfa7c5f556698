"""Whether a checkpoint fits a network and its data: refusals, and what is noted."""

from dataclasses import dataclass, field

import pytest
import torch

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet
from segxfer3d.weights import checkpoint
from segxfer3d.weights.passport import leaks, read_weights
from tests.weights.formats.test_genesis import fingerprint_weights


@dataclass
class Preprocessing:
    spacing: float = 1.0

    def as_dict(self):
        return {"spacing": [self.spacing] * 3}


@dataclass
class Target:
    name: str = "lungs"
    test_patients: set = field(default_factory=lambda: {"a", "b", "c"})
    test_contents: dict = field(default_factory=lambda: {"1a": "1a", "2b": "2b", "3c": "3c", "4d": "4d", "two": "2b"})
    dims: int = 3
    unit: str = "patients"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    classes: dict = field(default_factory=lambda: {1: "liver", 2: "tumor"})


NETWORK = genesis_unet(width=2)


def write(folder, network=NETWORK, spacing=1.0, classes=None, **provenance):
    path = folder / "model.pt"
    preprocessing = Preprocessing(spacing).as_dict()
    checkpoint.write_model(path, network.state_dict(), network.definition, preprocessing, classes or {}, provenance)
    return str(path)


def test_a_model_that_fits_is_read_without_a_note(tmp_path):
    weights, notes = read_weights(write(tmp_path), NETWORK, Target(), init="whole")
    assert notes == []
    assert weights.keys() == NETWORK.state_dict().keys()
    assert all(torch.equal(weights[key], value) for key, value in NETWORK.state_dict().items())


def test_what_is_noted(tmp_path):
    path = write(tmp_path, spacing=2.0, data="lungs", patients=["a", "c", "z"], pretext="Reconstruction")
    _, notes = read_weights(path, NETWORK, Target(), init="encoder")
    assert notes == [
        "warning: this checkpoint was trained on 2 of the 3 test patients, without their masks; "
        "--pretrain_fraction in both trainings keeps them apart",
        "warning: the checkpoint was trained with other preprocessing than this run uses",
    ]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (conrec_unet(width=2), (), "its network is conrec_unet, this one genesis_unet"),
        (genesis_unet(width=3), (), "has width 3, this one 2$"),
        (genesis_unet(width=3), ("width",), "has width 3, this one 2; --width 3"),
    ],
)
def test_another_network_is_refused(tmp_path, network, options, message):
    with pytest.raises(InputError, match=message):
        read_weights(write(tmp_path, network), NETWORK, Target(), init="encoder", options=options)


@pytest.mark.parametrize(("trained", "used"), [(True, False), (False, True), (True, True), (None, False)])
def test_other_statistics_in_evaluation_are_warned_of(tmp_path, trained, used):
    """None: of a checkpoint that does not say."""
    network = genesis_unet(width=2, batch_statistics=bool(trained))
    if trained is None:
        del network.definition["arguments"]["batch_statistics"]
    _, notes = read_weights(
        write(tmp_path, network), genesis_unet(width=2, batch_statistics=used), Target(), init="whole"
    )
    said = "warning: the checkpoint was trained with batch_statistics {0}, this run has {1}; --batch_statistics {0}"
    assert notes == ([said.format(trained, used)] if bool(trained) != used else [])


def test_parts_that_were_not_trained_are_refused(tmp_path):
    path = write(tmp_path, trained_parts=["encoder"], pretext="SimCLR")
    assert read_weights(path, NETWORK, Target(), init="encoder")
    with pytest.raises(InputError, match=r"\(SimCLR\) did not train the decoder; expected --init encoder"):
        read_weights(path, NETWORK, Target(), init="encoder+decoder")


@pytest.mark.parametrize("values", [(1, 2), (4, 7)])
def test_a_head_of_the_same_classes_in_another_order_is_refused(tmp_path, values):
    path = write(tmp_path, classes=dict(zip(values, ("Tumor", "liver"), strict=True)))
    assert read_weights(path, NETWORK, Target(), init="encoder+decoder")[1] == []
    message = r"dataset lungs: classes in another order than checkpoint .*liver is 1, the model's is 2; .*1:2,2:1"
    with pytest.raises(InputError, match=message):
        read_weights(path, NETWORK, Target(), init="whole")


def test_a_head_of_other_classes_is_noted(tmp_path):
    assert read_weights(write(tmp_path, classes={1: "liver", 2: "tumor"}), NETWORK, Target(), init="whole")[1] == []
    _, notes = read_weights(write(tmp_path, classes={1: "liver", 2: "cyst"}), NETWORK, Target(), init="whole")
    assert notes == ["note: classes have other names than the model's: 2 tumor (the model's: cyst)"]


def test_a_checkpoint_from_elsewhere(tmp_path):
    path = tmp_path / "published.pt"
    torch.save({"state_dict": fingerprint_weights()}, path)
    with torch.device("meta"):
        network = genesis_unet()
    weights, notes = read_weights(str(path), network, Target(), init="encoder")
    assert set(weights) == set(network.state_dict())
    assert len(notes) == 2
    assert notes[0].startswith("note: published Models Genesis checkpoint")
    assert notes[1] == "warning: the checkpoint was trained with other preprocessing than this run uses"


@pytest.mark.parametrize(("used", "warned"), [(VolumePreprocessing(), False), (VolumePreprocessing((1, 1, 1)), True)])
def test_a_published_checkpoint_fits_the_preprocessing_that_it_was_made_with(tmp_path, used, warned):
    torch.save({"state_dict": fingerprint_weights()}, tmp_path / "published.pt")
    with torch.device("meta"):
        network = genesis_unet(batch_statistics=True)
    _, notes = read_weights(str(tmp_path / "published.pt"), network, Target(preprocessing=used), init="encoder")
    assert len(notes) == warned


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        ({"data": "lungs", "patients": ["a"]}, "1 of the 3 test patients, with their masks; "),
        ({"data": "lungs", "patients": ["a"], "pretext": "Segmentation"}, "1 of the 3 test patients, with their masks"),
        ({"data": "lungs", "patients": ["a"], "pretext": "MoCo"}, "1 of the 3 test patients, without their masks; "),
        ({"data": "lungs", "patients": ["z"]}, ""),
        ({"data": "livers", "patients": ["a"]}, ""),
        # of the data set's own name; of a store's, which says nothing of it
        ({"data": "livers", "patients": ["a"], "cubes": 9, "store": "lungs"}, ""),
        ({"data": "lungs", "patients": ["a"], "cubes": 9, "store": "cubes"}, "1 of the 3 test patients, "),
        ({"data": "cubes", "patients": ["a", "z"], "cubes": 9}, ", if the same names are the same patients"),
        ({"data": "cubes", "patients": ["z"], "cubes": 9}, ""),
        ({}, ""),
    ],
)
def test_leaks(provenance, expected):
    said = leaks(provenance, Target())
    assert [expected in text for text in said] == [True] * bool(expected)


@pytest.mark.parametrize("name", ["lungs", "a copy of it"])
@pytest.mark.parametrize(("dims", "what", "same"), [(2, "images", "pixels"), (3, "volumes", "voxels")])
def test_cases_are_known_by_what_they_show(name, dims, what, same):
    """Under any folder and any name; a checkpoint that does not say what it saw says nothing."""
    provenance = {"data": name, "patients": ["renamed"], "contents": ["2b", "4d", "9z"], "pretext": "SimCLR"}
    assert leaks(provenance, Target(dims=dims)) == [
        f"this checkpoint was trained on 2 of the 4 test {what}, without their masks: the same {same}, in the data set "
        f"{name}; leave them out of one of the two"
    ]
    assert leaks(provenance | {"contents": ["9z"]}, Target()) == []
    (turned,) = leaks(provenance | {"contents": ["two", "2b"]}, Target())  # known by both, and one case
    assert turned.startswith("this checkpoint was trained on 1 of the 4 test volumes")
    del provenance["contents"]
    assert leaks(provenance, Target()) == []


@pytest.mark.parametrize("layouts", [("cityscapes_cars", "cityscapes"), ("cityscapes", "cityscapes_cars")])
def test_two_layouts_of_the_same_files(layouts):
    """Their splits differ, so that no fraction keeps them apart; what is noted of patches is not the image."""
    seen, tested = layouts
    provenance = {"data": seen, "patients": ["a", "b", "z"], "contents": ["9z"], "pretext": "SimCLR"}
    target = Target(name=tested, dims=2, unit="images")
    said = (
        f"this checkpoint was trained on 2 of the 3 test images, without their masks, in the data set {seen}, which is "
        "of the same files; leave them out of "
    )
    assert leaks(provenance, target) == [f"{said}one of the two"]
    assert leaks({"data": tested, "started_from": [provenance]}, target) == [
        f"through its start, {said}the test part, or of its start's data"
    ]
    assert leaks(provenance, Target(name="voc")) == []


def test_extra_images_of_earlier_versions_may_be_of_either_data_set():
    provenance = {"data": "voc", "extra_data": "pets", "contents": ["1a"], "pretext": "SimCLR"}
    assert ": the same voxels, in the data set voc or pets; " in leaks(provenance, Target())[0]


def test_what_a_start_has_seen_is_told_apart():
    """Through how many checkpoints it went, and with or without masks."""
    own = {"data": "lungs", "patients": ["a"], "contents": ["1a"], "init": "encoder"}
    masks = {"data": "copy", "patients": ["x"], "contents": ["2b", "3c"], "pretext": "Segmentation"}
    plain = {"data": "lungs", "patients": ["b", "c"], "contents": ["2b"], "pretext": "MoCo"}
    assert leaks(own | {"started_from": [plain, masks, {"job": "unet2d_finetune"}, plain]}, Target()) == [
        "this checkpoint was trained on 1 of the 3 test patients, with their masks; --pretrain_fraction in both "
        "trainings keeps them apart",
        "through its start, this checkpoint was trained on 2 of the 4 test volumes, with their masks: the same voxels, "
        "in the data set copy; leave them out of the test part, or of its start's data",
        "through its start, this checkpoint was trained on 2 of the 3 test patients, without their masks; "
        "--pretrain_fraction in all trainings keeps them apart",
    ]
    assert leaks({"data": "others", "started_from": [{"data": "others", "patients": ["a"]}]}, Target()) == []
