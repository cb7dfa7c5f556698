"""ConRec keeps the pretexts' contract; its tasks share what they should and transfer what they should."""

import pytest
import torch
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.losses import nt_xent
from segxfer3d.networks import PARTS, conrec_unet
from segxfer3d.pretexts.conrec import TASKS, ConRec
from segxfer3d.weights.initialize import initialize
from tests.networks.test_conrec_unet import values
from tests.pretexts.stand_ins import batch, check_contract, corruption, network, views


def conrec(spatial_dims=2, channels=3, **options):
    # width 2 has 16 channels at the bottom, which the attention halves three times
    return ConRec(network(spatial_dims, channels), views, corruption, hidden=8, out_channels=4, **options)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("own_stages", [0, 1, 3])
def test_contract(spatial_dims, own_stages):
    channels = 3 if spatial_dims == 2 else 1
    check_contract(lambda: conrec(spatial_dims, channels, own_stages=own_stages), PARTS, spatial_dims, channels)


def test_the_published_size():
    """ConRec alone (one reconstruction); the paper counts the 512 ones that spread its attention over channels."""
    pretext = ConRec(conrec_unet(out_channels=3), views, corruption, tasks=["clean"])
    assert values(pretext) + 512 == 8_651_716
    four = {own: ConRec(conrec_unet(out_channels=3), views, corruption, own_stages=own) for own in (0, 1)}
    assert {own: values(pretext) + 512 for own, pretext in four.items()} == {0: 8_652_171, 1: 9_109_707}


@pytest.mark.parametrize(("own_stages", "stages"), [(0, []), (1, [2]), (2, [1, 2]), (3, [0, 1, 2])])
def test_each_task_has_its_own_last_stages(own_stages, stages):
    pretext = conrec(own_stages=own_stages)
    decoder, head = pretext.network.decoder, values(pretext.network.head)
    own = sum(values(decoder.stages[i]) + values(decoder.skips[i]) for i in stages)
    assert set(pretext.branches) == {"plain", "where", "blacked"}
    for task, branch in pretext.branches.items():
        assert values(branch) == own + (values(torch.nn.Conv2d(2, 1, 1)) if task == "where" else head)


def test_the_loss_is_the_weighted_sum():
    pretext = conrec(contrastive_weight=2.0, reconstruction_weight=50.0).eval()
    items = batch()
    torch.manual_seed(5)
    losses = pretext(items)
    torch.manual_seed(5)
    pair = [views(items), views(items)]
    clean = torch.cat([view.image for view in pair])
    corrupted = corruption(clean)
    outputs = pretext.reconstruct(pretext.network.encoder(corrupted.image))
    torch.testing.assert_close(outputs["clean"], torch.sigmoid(pretext.network(corrupted.image)))
    targets = [clean, torch.cat([view.plain for view in pair]), corrupted.where, corrupted.blacked]
    errors = [F.mse_loss(outputs[task], target) for task, target in zip(TASKS, targets, strict=True)]
    features = pretext.pooling(pretext.network.encoder(corrupted.image)[-1])
    contrast = nt_xent(*pretext.projection(features).chunk(2), 0.5).loss
    for task, error in zip(TASKS, errors, strict=True):
        torch.testing.assert_close(losses[f"loss_{task}"], error)
    torch.testing.assert_close(losses["loss_contrast"], contrast)
    torch.testing.assert_close(losses["loss"], 2 * 2 * contrast + 50 * sum(errors))


def test_both_directions_of_the_contrast_are_added():
    """2.00 x NT-Xent beside 100 x the errors, as in the published code."""
    losses = conrec()(batch())
    errors = sum(losses[f"loss_{task}"] for task in TASKS)
    assert ((losses["loss"] - 100 * errors) / losses["loss_contrast"]).item() == pytest.approx(2, abs=0.02)


def test_what_transfers_is_the_network():
    pretext = conrec()
    target = conrec_unet(width=2)
    report = initialize(target, "encoder+decoder", pretext.network.state_dict())
    assert set(report.left) == {"head.weight", "head.bias"}
    assert set(report.unused) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tasks": ["plain"]}, "tasks"),
        ({"tasks": ["clean", "clean"]}, "tasks"),
        ({"tasks": ["clean", "colors"]}, "tasks"),
        ({"own_stages": 4}, "own_stages: expected 0 to 3"),
        ({"own_stages": -1}, "own_stages"),
    ],
)
def test_refusals(wrong, message):
    with pytest.raises(InputError, match=message):
        conrec(**wrong)
    with pytest.raises(InputError, match="at least 2"):
        conrec().check(1)
