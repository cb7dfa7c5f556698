"""Tiny networks, views and corruptions for the tests of pretexts, and what every pretext has to keep."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from segxfer3d.networks import make_network
from segxfer3d.networks.forward import NetworkForward


class View(NamedTuple):
    image: Tensor
    plain: Tensor


class Corrupted(NamedTuple):
    image: Tensor
    where: Tensor
    blacked: Tensor


def views(batch):
    """A random flip of each batch, and noise."""
    plain = batch["image"].float() / 255
    plain = plain.flip(-1) if torch.rand(()) < 0.5 else plain
    return View((plain + 0.2 * torch.rand_like(plain)).clamp(0, 1), plain)


def corruption(images):
    """Half of each image, one."""
    where = torch.zeros_like(images[:, :1])
    where[..., : images.shape[-1] // 2] = 1
    return Corrupted(torch.where(where > 0, 1.0, images), where, images * (1 - where))


def network(spatial_dims=2, channels=3, seed=0, out_channels=None, name="conrec_unet"):
    torch.manual_seed(seed)
    name, stem, _ = name.partition(" behind a stem")
    sizes = {"features": [4, 8, 16], "stem": (2, 2, 1)[:spatial_dims]} if stem else {}
    return make_network(
        name, dims=spatial_dims, in_channels=channels, out_channels=out_channels or channels, width=2, **sizes
    )


def batch(spatial_dims=2, channels=3, n=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, channels, *(16, 16, 8)[:spatial_dims])
    return {
        "image": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        "category": torch.arange(n) % 2,
        "label": torch.randint(0, 2, (n, 1, *shape[2:]), dtype=torch.uint8, generator=generator),
        "valid": torch.ones((n, 1, *shape[2:]), dtype=torch.uint8),
    }


def step(pretext, optimizer, seed, amp=False, **options):
    """One step of the trainer."""
    torch.manual_seed(seed)
    pretext.train()
    optimizer.zero_grad()
    losses = NetworkForward(amp=amp, channels_last=False)(batch(seed=seed, **options), pretext)
    losses["loss"].backward()
    optimizer.step()
    pretext.after_step()
    return losses


def optimizer_of(pretext):
    return torch.optim.SGD(pretext.parameters(), lr=0.05, momentum=0.9)


def check_contract(make, parts, spatial_dims=2, channels=3, amp=True):
    """A pretext trains ``parts`` of its network and nothing else of it, gives finite float32 scalars under autocast,
    and goes on from its state dict bit for bit.

    Args:
        make: a fresh pretext.
        parts: of the network.
        spatial_dims, channels: of the images.
        amp: whether to train under autocast.
    """
    options = {"spatial_dims": spatial_dims, "channels": channels, "amp": amp}
    pretext = make()
    assert pretext.trained_parts == parts
    before = {key: tensor.clone() for key, tensor in pretext.network.state_dict().items()}
    optimizer = optimizer_of(pretext)
    losses = step(pretext, optimizer, 1, **options)
    for name, value in losses.items():
        assert value.shape == (), name
        assert value.dtype == torch.float32, name
        assert torch.isfinite(value), name
    moved = {k.split(".")[0] for k, v in pretext.network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == set(parts)
    for name, parameter in pretext.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name

    again = make()
    again.load_state_dict(pretext.state_dict())
    again_optimizer = optimizer_of(again)
    again_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in (2, 3):
        first, second = (step(p, o, seed, **options) for p, o in ((pretext, optimizer), (again, again_optimizer)))
        assert torch.equal(first["loss"], second["loss"])
    ours, theirs = pretext.state_dict(), again.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)

    pretext.eval()
    with torch.no_grad():
        items = batch(spatial_dims=spatial_dims, channels=channels)
        embeddings = pretext.embed(items)
        assert torch.isfinite(pretext(items)["loss"])
    assert embeddings.shape == (4, pretext.network.encoder.channels[-1])
    assert embeddings.dtype == torch.float32
    kept = pretext.state_dict()
    assert all(torch.equal(ours[key], kept[key]) for key in ours), "evaluation changed the state"
