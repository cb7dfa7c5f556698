"""Classification: the network says of which class an image is (the supervised pretext of arXiv 2207.14508)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.config.bundles import Recipe
from segxfer3d.config.options import Group, option
from segxfer3d.errors import InputError
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.heads import POOLINGS, ClassificationHead
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Pretext, Views, entry, unit_images


class Classification(Pretext):
    """Cross-entropy of a linear layer on the pooled features; trains the encoder.

    Of its training the paper says a constant rate; Adam, 0.001 and batches of 32 are our choice.

    Args:
        network: whose encoder is trained.
        classes: how many there are.
        views: draws a view of a batch in training; images are taken as they are without it.
        pooling: ``average`` or ``attention``.
        whole: makes the view for evaluation, which draws nothing; images are taken as they are without it.

    Raises:
        InputError: fewer than two classes.
    """

    trained_parts = ("encoder",)

    def __init__(
        self,
        network: SegmentationNetwork,
        classes: int,
        views: Views | None = None,
        pooling: str = "average",
        whole: Views | None = None,
    ) -> None:
        super().__init__(network)
        if classes < 2:
            raise InputError(f"classes: expected at least 2 to tell apart, got {classes}")
        self.views = views
        self.whole = whole
        encoder = network.encoder
        self.classifier = ClassificationHead(encoder.channels[-1], classes, pooling, encoder.spatial_dims)

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to (N, C), float32."""
        pooled: Tensor = self.classifier.pooling(features)
        return pooled

    def classify(self, images: Tensor) -> Tensor:
        """(N, C, *spatial) in [0, 1] to logits (N, classes)."""
        logits: Tensor = self.classifier(self.network.encoder(images)[-1])
        return logits

    def images(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What is classified: a random view in training, the whole image in evaluation; (N, C, *size) in [0, 1]."""
        views = self.views if self.training else self.whole
        return unit_images(batch) if views is None else views(batch).image

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: ``image`` and ``category`` (N,), 0 to classes - 1. Gives ``loss`` and ``accuracy``."""
        categories = entry(batch, "category")
        images = self.images(batch)
        logits = self.classify(images).float()
        accuracy = (logits.argmax(dim=1) == categories).float().mean()
        return {"loss": F.cross_entropy(logits, categories), "accuracy": accuracy}

    def pictures(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image, the heat of Grad-CAM for the class that the network takes it for, and the image where the heat is
        (the paper's Figure 5c)."""
        from segxfer3d.interpret.gradcam import grad_cam  # training needs none of it

        images = self.images(batch)
        heat = grad_cam(_Classifier(self), images, "pretext.network.encoder")[:, None]
        return {"image": images, "heat": heat, "image where the heat is": images * heat}


class _Classifier(nn.Module):
    """Images to logits, as Grad-CAM takes a network."""

    def __init__(self, pretext: Classification) -> None:
        super().__init__()
        self.pretext = pretext

    def forward(self, images: Tensor) -> Tensor:
        return self.pretext.classify(images)


@dataclass(frozen=True)
class Options(Group):
    """What classification alone has."""

    pooling: str = option("average", "how the encoder's output becomes one vector", choices=POOLINGS)


RECIPE = Recipe(
    name="classification_pretrain",
    description="Classification in 2D: tell the classes of another data set apart.",
    base="pretrain",
    dims=2,
    title="Classification",
    scenario="2",
    citation="Dippel et al., Transfer Learning for Segmentation Problems: Choose the Right Encoder and Skip the "
    "Decoder, 2022, arXiv 2207.14508",
    options=(shared.Jitter, Options),
    differs={
        "jitter_strength": 0.5,
        "batch_size": 32,
        "data": {"task": "classification"},
        "whole_view": {
            "_target_": "segxfer3d.augment.views.CenterView",
            "size": ["@image_size", "@image_size"],
        },
        "pretext": {
            "_target_": "segxfer3d.pretexts.classification.Classification",
            "network": "@network_def",
            "classes": "$@data.classes",
            "views": "@views",
            "pooling": "@pooling",
            "whole": "@whole_view",
        },
    },
)
