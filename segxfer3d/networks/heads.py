"""Heads that only pretraining needs: pooling, projection, prediction, classification, branches of the decoder.

They run under autocast as the network does; what they give goes to losses that compute in float32.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import CONV, ConvBlock, FeatureDecoder
from segxfer3d.networks.deep_supervision import make_head
from segxfer3d.networks.initial_weights import glorot_
from segxfer3d.networks.norms import BatchNorm

POOLINGS = ("average", "attention")
KERAS_EPS, KERAS_MOMENTUM = 1e-3, 0.01  # Keras says 0.99, the share of the running statistics that stays
PROJECTION_STD = 0.01


class AveragePooling(nn.Module):
    """Mean over all positions."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to (N, C), float32."""
        return features.float().flatten(2).mean(dim=2)


class AttentionPooling(nn.Module):
    """Attention-weighted mean over positions (Dippel et al. 2021).

    Dropout, 1x1 convolutions to 1/2, 1/4 and 1/8 of the channels (512 to 256, 128, 64), each with batch norm and
    ReLU, and one to a single channel give a logit for each position; its sigmoid is the position's weight, and the
    weights are divided by their sum. Dropout touches the weights' branch only.

    The reference spreads the weights over the channels by a fixed 1x1 convolution of ones, whose ``channels`` values
    it counts; here they are broadcast. Its batch norms are Keras' (eps 0.001, a hundredth of each batch into the
    running statistics), and so are the initial weights: Glorot uniform, biases 0.

    Args:
        channels: of the features, at least 8.
        spatial_dims: 2 or 3.
        dropout: of the features that the weights are computed from.
    """

    def __init__(self, channels: int, spatial_dims: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        narrower = [channels // 2, channels // 4, channels // 8]
        self.attention = nn.Sequential(
            nn.Dropout(dropout),
            ConvBlock(spatial_dims, channels, narrower, batch_statistics=False, kernel_size=1),
            CONV[spatial_dims](narrower[-1], 1, kernel_size=1),
        )
        for layer in self.modules():
            if isinstance(layer, BatchNorm):
                layer.eps, layer.momentum = KERAS_EPS, KERAS_MOMENTUM
        glorot_(self)

    def weights(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to each position's share (N, 1, *spatial), float32, with sum 1 over positions."""
        logits: Tensor = self.attention(features).float()
        # a softmax of log-sigmoids is sigmoid over sum of sigmoids, also where all of them are tiny
        shares = F.logsigmoid(logits).flatten(2).softmax(dim=2)
        return shares.reshape(logits.shape)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to (N, C), float32."""
        return (features.float() * self.weights(features)).flatten(2).sum(dim=2)


def make_pooling(name: str, channels: int, spatial_dims: int) -> nn.Module:
    """``average`` or ``attention``.

    Raises:
        InputError: an unknown name.
    """
    if name == "average":
        return AveragePooling()
    if name == "attention":
        return AttentionPooling(channels, spatial_dims)
    raise InputError(f"pooling: expected one of {', '.join(POOLINGS)}, got {name!r}")


class _ScaleNorm(nn.BatchNorm1d):
    """Batch norm with a scale and no offset."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_parameter("bias", None)


class ProjectionHead(nn.Sequential):
    """SimCLR's projection head of three linear layers (Chen et al. 2020, as its authors' code and ConRec have it).

    Batch norm follows each layer, ReLU the first two. The layers have no bias of their own: the offsets of the first
    two batch norms serve, and the last one has none. Initial weights are normal with standard deviation 0.01.

    Args:
        channels: of the pooled features.
        hidden: of the two layers in between.
        out_channels: of the projection.
    """

    def __init__(self, channels: int, hidden: int = 512, out_channels: int = 128) -> None:
        super().__init__(
            nn.Linear(channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, out_channels, bias=False),
            _ScaleNorm(out_channels),
        )
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=PROJECTION_STD)


class MoCoHead(nn.Sequential):
    """MoCo v2's projection head: two linear layers with ReLU between them (Chen et al. 2020, arXiv 2003.04297).

    Args:
        channels: of the pooled features, and of the hidden layer.
        out_channels: of the projection.
    """

    def __init__(self, channels: int, out_channels: int = 128) -> None:
        super().__init__(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, out_channels))


class BYOLHead(nn.Sequential):
    """BYOL's projector and, on top of it, predictor: linear, batch norm, ReLU, linear (Grill et al. 2020).

    Args:
        channels: of the input: the pooled features, or for the predictor the projection.
        hidden: of the layer in between.
        out_channels: of the output.
    """

    def __init__(self, channels: int, hidden: int = 4096, out_channels: int = 256) -> None:
        super().__init__(
            nn.Linear(channels, hidden, bias=False),  # the batch norm has the offset
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, out_channels),
        )


class ClassificationHead(nn.Module):
    """Pooling and one linear layer, whose weights begin as Keras' do: Glorot uniform, biases 0.

    Args:
        channels: of the features.
        classes: how many.
        pooling: ``average`` or ``attention``.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: int, classes: int, pooling: str = "average", spatial_dims: int = 2) -> None:
        super().__init__()
        self.pooling = make_pooling(pooling, channels, spatial_dims)
        self.linear = nn.Linear(channels, classes)
        glorot_(self.linear)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, classes)."""
        logits: Tensor = self.linear(self.pooling(features))
        return logits


class DecoderBranch(nn.Module):
    """The last stages of a decoder and an output convolution once more, for a task of their own.

    Args:
        decoder: whose last stages are repeated, with new weights (Glorot uniform, biases 0); an own stage has its
            own skip convolution.
        own_stages: how many; 0 is an output convolution alone, all of them shares nothing but the encoder.
        out_channels: of the output.
    """

    def __init__(self, decoder: FeatureDecoder, own_stages: int, out_channels: int) -> None:
        super().__init__()
        self.decoder = decoder.last_stages(own_stages)
        self.head = make_head(decoder, out_channels)
        self.own_stages = own_stages
        glorot_(self)

    def forward(self, shared: Tensor, features: list[Tensor]) -> Tensor:
        """Logits (N, out_channels, *spatial).

        Args:
            shared: what the shared stages of the decoder give.
            features: all of the encoder's, the finest first.
        """
        logits: Tensor = self.head(self.decoder([*features[: self.own_stages], shared]))
        return logits
