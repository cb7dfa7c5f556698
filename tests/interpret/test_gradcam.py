"""Grad-CAM where the answer is known."""

import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.interpret.gradcam import ForegroundScore, grad_cam
from segxfer3d.networks import UNet

CONV = {2: nn.Conv2d, 3: nn.Conv3d}


class TwoSigns(nn.Module):
    """Channel 0 is what is bright, channel 1 what is dark; class 0 counts the bright, class 1 the dark voxels."""

    def __init__(self, spatial_dims, stride=1):
        super().__init__()
        self.features = CONV[spatial_dims](1, 2, stride, stride=stride)
        self.features.weight.data.fill_(1 / stride**spatial_dims)
        self.features.weight.data[1] *= -1
        self.features.bias.data.zero_()
        self.rectify = nn.ReLU(inplace=True)
        self.spare = nn.Identity()

    def forward(self, x):
        return self.rectify(self.features(x)).flatten(2).mean(dim=2)


def signs(spatial_dims):
    """Bright in one corner, dark in the opposite one, 0 elsewhere."""
    image = torch.zeros(1, 1, *[8] * spatial_dims)
    image[(..., *[slice(0, 2)] * spatial_dims)] = 2.0
    image[(..., *[slice(4, 8)] * spatial_dims)] = -3.0
    return image


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("layer", ["features", "rectify"])
def test_heat_is_where_the_evidence_is(spatial_dims, layer):
    images = signs(spatial_dims)
    network = TwoSigns(spatial_dims)
    for index, sign in enumerate((1, -1)):
        heat = grad_cam(network, images, layer, index)
        assert heat.shape == images[:, 0].shape
        expected = (sign * images[:, 0] > 0).float()  # one weight for all voxels, and each object is even
        torch.testing.assert_close(heat, expected)


def test_known_map_on_a_coarse_layer():
    """Weights w_k = dy/dA averaged over positions, relu(sum of w_k A_k), divided by its highest value."""
    image = torch.zeros(1, 1, 4, 4)
    image[..., :2, :2], image[..., :2, 2:] = 1.0, 0.5
    heat = grad_cam(TwoSigns(2, stride=2), image, "rectify", 0)
    coarse = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    enlarged = nn.functional.interpolate(coarse, (4, 4), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(heat, enlarged / enlarged.max())


def test_each_image_has_its_own_class():
    images = torch.cat([signs(2), signs(2).flip(2, 3), -2 * signs(2)])
    network = TwoSigns(2)
    assert network(images).argmax(dim=1).tolist() == [1, 1, 0]
    heat = grad_cam(network, images, "rectify")
    for i, index in enumerate([1, 1, 0]):
        torch.testing.assert_close(heat[i], grad_cam(network, images[i : i + 1], "rectify", index)[0])
    assert float(heat.max()) == 1
    assert float(heat.min()) == 0


def test_no_evidence_is_a_map_of_zeros():
    assert float(grad_cam(TwoSigns(2), -torch.ones(1, 1, 4, 4), "rectify", 0).max()) == 0


class Classifier(nn.Module):
    """What a classification pretext trains: encoder, pooling, linear."""

    def __init__(self, unet):
        super().__init__()
        self.encoder = unet.encoder
        self.linear = nn.Linear(unet.encoder.stages[-1][0].out_channels, 3)

    def forward(self, x):
        return self.linear(self.encoder(x)[-1].flatten(2).mean(dim=2))


def unet(spatial_dims, out_channels=2):
    torch.manual_seed(0)
    return UNet(spatial_dims, 1, out_channels, [[2], [4]], [[2]])


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_encoders_of_this_package_and_what_stays_untouched(spatial_dims):
    network = Classifier(unet(spatial_dims)).train()
    network.encoder.requires_grad_(False)
    network.linear.weight.grad = torch.ones_like(network.linear.weight)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = torch.rand(3, 1, *[8] * spatial_dims)
    with torch.no_grad():
        heat = grad_cam(network, images, class_index=1)
    assert heat.shape == (3, *[8] * spatial_dims)
    assert 0 <= float(heat.min()) <= float(heat.max()) <= 1
    assert not heat.requires_grad
    torch.testing.assert_close(heat, grad_cam(network, images, "encoder.stages.1", 1))
    assert network.training
    assert bool((network.linear.weight.grad == 1).all())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())


def test_segmentation_scores_sum_the_predicted_foreground():
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 3.0]], [[1.0, -2.0], [4.0, -1.0]]]])
    assert ForegroundScore(nn.Identity())(logits).tolist() == [[5.0, 4.0]]
    assert ForegroundScore(nn.Identity())(-logits.abs() - 1).tolist() == [[0.0, 0.0]]


def test_segmentation_heat_is_on_the_object():
    class Bright(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.ReLU()

        def forward(self, x):
            return self.features(x) - 0.5

    image = torch.zeros(1, 1, 6, 6, 6)
    image[..., 1:3, 1:3, 1:3] = 1.0
    heat = grad_cam(ForegroundScore(Bright()), image, "network.features", 0)
    torch.testing.assert_close(heat, image[:, 0])
    assert float(grad_cam(ForegroundScore(Bright()), 0 * image, "network.features", 0).max()) == 0
    heat = grad_cam(ForegroundScore(unet(3)), torch.rand(2, 1, 8, 8, 8), "network.encoder", 1)
    assert heat.shape == (2, 8, 8, 8)


@pytest.mark.parametrize(
    ("network", "layer", "index", "message"),
    [
        (TwoSigns(2), "nothing", 0, "layer 'nothing': expected a layer"),
        (TwoSigns(2), "spare", 0, "does not use it"),
        (TwoSigns(2), "rectify", 2, "class_index 2: expected 0 to 1"),
        (Classifier(unet(2)), "linear", 0, r"layer 'linear': expected an output \(N, channels"),
        (unet(2), "encoder", 0, r"expected a network that gives logits \(N, classes\)"),
    ],
)
def test_what_cannot_be_mapped_is_refused(network, layer, index, message):
    with pytest.raises(InputError, match=message):
        grad_cam(network, torch.rand(2, 1, 8, 8), layer, index)
