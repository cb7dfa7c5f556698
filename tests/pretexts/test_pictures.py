"""What each pretext shows of itself: columns of one size, drawn again alike, true to what the loss sees."""

import pytest
import torch

from segxfer3d.networks import imagenet_unet
from segxfer3d.pretexts.byol import BYOL
from segxfer3d.pretexts.classification import Classification
from segxfer3d.pretexts.conrec import ConRec
from segxfer3d.pretexts.moco import MoCo
from segxfer3d.pretexts.reconstruction import Reconstruction
from segxfer3d.pretexts.segmentation import Segmentation
from segxfer3d.pretexts.simclr import SimCLR
from tests.pretexts.stand_ins import batch, corruption, network, views

VIEWS = ["view", "another view"]
HEAT = ["image", "heat", "image where the heat is"]
RECONSTRUCTION = ["corrupted", "output", "target"]
CONREC = [f"{task}, {what}" for task in ("clean", "plain", "where", "blacked") for what in ("output", "target")]
SHOWN = {
    "simclr": (lambda net: SimCLR(net, views), VIEWS),
    "moco": (lambda net: MoCo(net, views, queue_size=8), VIEWS),
    "byol": (lambda net: BYOL(net, views, 4, hidden=8), VIEWS),
    "classification": (lambda net: Classification(net, 2, views), HEAT),
    "classification without views": (lambda net: Classification(net, 2), HEAT),
    "reconstruction": (lambda net: Reconstruction(net, views, corruption), RECONSTRUCTION),
    "reconstruction without views": (lambda net: Reconstruction(net, None, corruption), RECONSTRUCTION),
    "conrec": (lambda net: ConRec(net, views, corruption, hidden=8), ["corrupted", *CONREC]),
    "segmentation": (Segmentation, ["image", "output", "label"]),
}


@torch.no_grad()
def show(pretext, items, seed=0):
    torch.manual_seed(seed)
    return pretext.eval().pictures(items)


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_columns(name, spatial_dims):
    make, expected = SHOWN[name]
    channels = 3 if spatial_dims == 2 else 1
    pretext = make(network(spatial_dims, channels, out_channels=1 if name == "segmentation" else channels))
    items = batch(spatial_dims, channels)
    before = {key: tensor.clone() for key, tensor in pretext.state_dict().items()}
    columns = show(pretext, items)
    assert list(columns) == expected
    for column in columns.values():
        assert column.shape[:1] + column.shape[2:] == items["image"].shape[:1] + items["image"].shape[2:]
        assert column.shape[1] in (1, channels)
        assert column.is_floating_point()
        assert 0 <= float(column.min()) <= float(column.max()) <= 1
    again = show(pretext, items)
    assert all(torch.equal(column, again[title]) for title, column in columns.items())
    assert all(torch.equal(tensor, before[key]) for key, tensor in pretext.state_dict().items())


def test_two_views_differ():
    columns = show(SimCLR(network(), views), batch())
    assert not torch.equal(columns["view"], columns["another view"])


def test_reconstruction_shows_what_its_loss_compares():
    pretext = Reconstruction(network(), views, corruption)
    columns = show(pretext, batch())
    torch.manual_seed(0)
    loss = pretext(batch())["loss"]
    torch.testing.assert_close((columns["output"] - columns["target"]).square().mean(), loss)
    assert torch.equal(columns["corrupted"][..., 8:], columns["target"][..., 8:])
    assert torch.all(columns["corrupted"][..., :8] == 1)


def test_conrec_shows_the_target_of_every_task():
    columns = show(ConRec(network(), views, corruption, hidden=8), batch())
    where = columns["where, target"]
    assert torch.equal(columns["blacked, target"], columns["clean, target"] * (1 - where))
    assert torch.equal(torch.where(where > 0, 1.0, columns["clean, target"]), columns["corrupted"])
    assert not torch.equal(columns["plain, target"], columns["clean, target"])


def test_segmentation_shows_masks():
    items = batch()
    columns = show(Segmentation(network(out_channels=1)), items)
    assert torch.equal(columns["label"], items["label"].float())
    assert torch.equal(columns["image"], items["image"].float() / 255)


def test_segmentation_shows_the_masks_of_several_classes_as_one():
    items = batch()
    items["label"] = torch.cat([items["label"], 1 - items["label"]], dim=1)
    pretext = Segmentation(network(out_channels=2))
    columns = show(pretext, items)
    assert torch.equal(columns["label"], torch.ones_like(items["label"][:, :1]).float())
    with torch.no_grad():
        each = torch.sigmoid(pretext.network(columns["image"]))
    assert torch.equal(columns["output"], torch.maximum(each[:, :1], each[:, 1:]))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_classification_shows_where_it_looks(spatial_dims):
    channels = 3 if spatial_dims == 2 else 1
    pretext = Classification(network(spatial_dims, channels), 2, views).eval()
    items = batch(spatial_dims, channels)
    with torch.no_grad():
        columns = pretext.pictures(items)
        # a class that is all evidence in one channel: the heat is that channel's, enlarged
        pretext.classifier.linear.weight.zero_()
        pretext.classifier.linear.bias.copy_(torch.tensor([0.0, -1e6]))
        pretext.classifier.linear.weight[0, 0] = 1.0
        feature = pretext.network.encoder(columns["image"])[-1][:, :1]
        heat = pretext.pictures(items)["heat"]
    assert list(columns) == ["image", "heat", "image where the heat is"]
    assert torch.equal(columns["image"], items["image"].float() / 255)
    assert torch.equal(columns["image where the heat is"], columns["image"] * columns["heat"])
    mode = "bilinear" if spatial_dims == 2 else "trilinear"
    enlarged = torch.nn.functional.interpolate(feature, heat.shape[2:], mode=mode, align_corners=False).relu()
    highest = enlarged.flatten(1).amax(1).clamp(min=1e-12).view(-1, *[1] * (enlarged.ndim - 1))
    torch.testing.assert_close(heat, enlarged / highest, atol=1e-4, rtol=1e-4)


def test_a_classification_by_resnet_shows_where_it_looks_too():
    torch.manual_seed(0)
    pretext = Classification(imagenet_unet("resnet18"), 2).eval()
    with torch.no_grad():
        heat = pretext.pictures({"image": torch.rand(2, 3, 64, 64)})["heat"]
    assert heat.shape == (2, 1, 64, 64)
    assert heat.flatten(1).amax(1).tolist() == pytest.approx([1, 1])
