"""Several models as one: the mean of their probabilities.

Example:
    >>> model = load_ensemble("runs/five_folds")  # doctest: +SKIP
    >>> model.predict("scan.nii.gz").mask.shape  # doctest: +SKIP
    (512, 512, 300)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from segxfer3d import documents
from segxfer3d.data import seen
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError, some
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.inference.image import Image
from segxfer3d.inference.model import Model, load_model
from segxfer3d.inference.open_sums import Box
from segxfer3d.losses.activation import foreground_probabilities
from segxfer3d.weights import checkpoint, lineage

MODEL = "model.pt"
FOLDS = "folds.json"  # of segxfer3d cross: which models there are
_LEAST = 1e-7  # probability: what single precision can tell from 0 and from 1


class EnsembleInferer(Inferer):
    """What several networks of one kind say of a batch, or of a volume: logits of the mean of their probabilities.

    All networks are in memory. They see each window of a volume in turn, so that no map of what one says is held.

    Args:
        networks: of the models.
        inferers: how each is applied.
        activation: of their outputs.
    """

    def __init__(self, networks: Sequence[Callable[..., Any]], inferers: Sequence[Any], activation: str) -> None:
        self.networks = tuple(networks)
        self.inferers = tuple(inferers)
        self.activation = activation

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """``inputs``: (N, C, *spatial); the logits (N, outputs, *spatial)."""
        said = (each(inputs, member, *args, **kwargs) for each, member in self._members(network))
        return self._together(said, dim=1)

    @property
    def passed_over(self) -> int:
        """Windows of air that were not computed."""
        return sum(getattr(inferer, "passed_over", 0) for inferer in self.inferers)

    def order(self, shape: Sequence[int]) -> tuple[int, ...]:
        """See :class:`~segxfer3d.inference.windows.WindowInferer`."""
        order: tuple[int, ...] = self.inferers[0].order(shape)
        return order

    def blocks(
        self, image: Image, network: Callable[..., Any], device: torch.device | None = None
    ) -> Iterator[tuple[Box, Tensor]]:
        """See :class:`~segxfer3d.inference.windows.WindowInferer`."""
        members = [each.blocks(image, member, device) for each, member in self._members(network)]
        for said in zip(*members, strict=True):
            yield said[0][0], self._together((block for _, block in said), dim=0)

    def smaller(self, shape: Sequence[int], network: Callable[..., Any]) -> EnsembleInferer | None:
        """See :class:`~segxfer3d.inference.windows.WindowInferer`."""
        smaller = [each.smaller(shape, member) for each, member in self._members(network)]
        return None if None in smaller else EnsembleInferer(self.networks, smaller, self.activation)

    def _members(self, first: Callable[..., Any]) -> Iterator[tuple[Any, Callable[..., Any]]]:
        """Those of the networks, all by the engine that the first was given."""
        for network in self.networks:
            if isinstance(network, EngineNetwork) and isinstance(first, EngineNetwork):
                network.follow(first)
        return zip(self.inferers, self.networks, strict=True)

    def _together(self, logits: Iterable[Tensor], *, dim: int) -> Tensor:
        total: Tensor | None = None
        for each in logits:
            said = foreground_probabilities(each, self.activation, dim=dim)
            total = said if total is None else total.add_(said)
        assert total is not None
        return as_logits(total / len(self.networks), self.activation, dim=dim)


def as_logits(probabilities: Tensor, activation: str, *, dim: int = 1) -> Tensor:
    """Outputs of a network that would say these probabilities.

    Args:
        probabilities: (N, K, *spatial) of the foreground classes, in [0, 1].
        activation: ``sigmoid`` gives (N, K, *spatial), ``softmax`` (N, K + 1, *spatial) with the background first.
        dim: of the classes: 1 of a batch, 0 of a case.

    Example:
        >>> torch.sigmoid(as_logits(torch.tensor([[0.25]]), "sigmoid"))
        tensor([[0.2500]])
    """
    if activation == "sigmoid":
        return torch.logit(probabilities, eps=_LEAST)
    background = 1 - probabilities.sum(dim, keepdim=True)
    return torch.cat([background, probabilities], dim).clamp_(min=_LEAST).log_()


def members_of(folder: str | Path) -> list[str]:
    """The models of a folder: those of a cross-validation, or ``model.pt`` of each run in it.

    Raises:
        InputError: no such folder, or fewer than two models that are there.
    """
    folder = Path(folder).expanduser()
    listed = folder / FOLDS
    if listed.is_file():
        names = documents.own(listed, before="model_dir: ", after="; segxfer3d cross writes it anew")["models"]
        paths = [folder / name for name in names]
    else:
        paths = sorted(folder.glob(f"*/{MODEL}"))
    if lost := [str(path) for path in paths if not path.is_file()]:
        raise InputError(f"model_dir: {some(lost, 5, ', ')}: no such model")
    if len(paths) < 2:
        what = "no such folder" if not folder.is_dir() else f"{len(paths)} models in it"
        raise InputError(
            f"model_dir {folder}: {what}; expected the folder of segxfer3d cross once all folds are done, or two runs "
            f"or more with {MODEL}"
        )
    return [str(path) for path in paths]


def load_ensemble(models_of: str | Path | Sequence[str | Path], **how: Any) -> Model:
    """Several fine-tuned models as one.

    A class keeps its largest component where more than half of the models say so.

    Args:
        models_of: a folder, see :func:`members_of`; or paths of ``model.pt``, in the order in which they are averaged.
        how: see :func:`~segxfer3d.inference.model.load_model`.

    Raises:
        InputError: as there; or models that differ in their classes, channels, preprocessing, network, in how outputs
            become masks, or in the patch that they were trained on where no window is set.
    """
    paths = members_of(models_of) if isinstance(models_of, (str, Path)) else list(models_of)
    if not paths:
        raise InputError("model_dir: expected one model at least")
    contents: list[dict[str, Any]] = []
    models: list[Model] = []
    first = load_model(paths[0], **how)
    for path in paths:
        content = checkpoint.read_model(path)
        model = first if not models else load_model(path, **{**how, "progress": False})
        del content["state_dict"]
        contents.append(content)
        models.append(model)
    _refuse_unlike([str(path) for path in paths], contents, patch=how.get("window") is None)
    kept = Counter(value for model in models for value in model.inference.largest_component)
    largest = tuple(value for value in first.classes if 2 * kept[value] > len(models))
    return replace(
        first,
        inferer=EnsembleInferer(
            [model.network for model in models], [model.inferer for model in models], first.inference.activation
        ),
        inference=replace(first.inference, largest_component=largest),
        provenance=_together([model.provenance for model in models]),
        members=tuple(model.path for model in models),
    )


def first_of(path: str, folder: str) -> str:
    """The model whose kind says what is asked of it: of two options, the one that is given; wrong ones are refused by
    whoever loads them."""
    try:
        return path or (members_of(folder)[0] if folder else "")
    except InputError:
        return ""


def load_models(path: str, folder: str, *, spacing_of: str = "file", **how: Any) -> Model:
    """The model, or the models of a folder, that the options ``checkpoint`` and ``model_dir`` name.

    Args:
        path, folder: of the two.
        spacing_of: ``training`` resamples volumes to the median spacing of those that trained a model which takes
            volumes as they are.
        how: see :func:`~segxfer3d.inference.model.load_model`.

    Raises:
        InputError: both are given; a model that cannot resample; or as :func:`load_ensemble`.
    """
    if path and folder:
        raise InputError("checkpoint and model_dir: expected one of them, got both")
    model = load_ensemble(folder, **how) if folder else load_model(path, **how)
    return model if spacing_of == "file" else _on_grid_of_training(model)


def _refuse_unlike(paths: Sequence[str], contents: Sequence[Mapping[str, Any]], *, patch: bool) -> None:
    """Models whose outputs are not of the same grid and the same classes, or, where each goes over a volume by its own
    ``patch``, of the same windows."""
    sizes = [{"patch_size": list(content["provenance"].get("patch_size", ()))} if patch else {} for content in contents]
    first = _compared(contents[0]) | sizes[0]
    for path, content, size in zip(paths[1:], contents[1:], sizes[1:], strict=True):
        other = _compared(content) | size
        if _compared(content) == _compared(contents[0]) and size != sizes[0]:
            raise InputError(
                f"model_dir: {path} was trained on patches of {size['patch_size']}, {paths[0]} of "
                f"{first['patch_size']}; --window sets one size for all"
            )
        unlike = [name for name in first if first[name] != other.get(name)] + [n for n in other if n not in first]
        if unlike:
            listed = some([f"{name} {other.get(name)}, not {first.get(name)}" for name in unlike], 3)
            raise InputError(
                f"model_dir: {path} has {listed} as {paths[0]}; models are averaged that have the same classes, "
                "preprocessing and network (segxfer3d cross trains all folds under one plan)"
            )


def _compared(content: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same, by name."""
    inference = {name: value for name, value in content["inference"].items() if name in ("activation", "regions")}
    network = {f"network {name}": value for name, value in content["network"]["arguments"].items()}
    return {
        "classes": content["classes"],
        "network": content["network"]["name"],
        **content["preprocessing"],
        **inference,
        **network,
    }


def _together(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all models together were trained on."""
    together = dict(provenances[0])
    for name in ("patients", "contents"):
        listed = [set(provenance[name]) for provenance in provenances if name in provenance]
        if listed:
            together[name] = sorted(set().union(*listed))
    if starts := lineage.together(provenances):
        together[lineage.STARTED_FROM] = starts
    if known := seen.together([provenance.get("seen") or {} for provenance in provenances]):
        together["seen"] = known
    return together


def _on_grid_of_training(model: Model) -> Model:
    """The same model, which resamples volumes to the median spacing of those that it was trained on.

    Raises:
        InputError: a model of images, one that resamples already, or that does not say.
    """
    preprocessing = model.preprocessing
    if not isinstance(preprocessing, VolumePreprocessing):
        raise InputError("spacing_of training: the model is for images, which have no spacing; expected file")
    if preprocessing.spacing is not None:
        raise InputError(
            f"spacing_of training: {model.path} resamples volumes to {list(preprocessing.spacing)} mm already"
        )
    known = model.provenance.get("seen")
    if not known:
        raise InputError(f"spacing_of training: {model.path} does not say what it was trained on; train it again")
    x, y, z = known["spacing"][1]
    return replace(model, preprocessing=replace(preprocessing, spacing=(x, y, z)))
