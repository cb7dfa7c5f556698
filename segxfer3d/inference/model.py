"""A trained model as a value: load it, and predict masks of new volumes or images; no run is needed.

Example:
    >>> model = load_model("runs/finetune/model.pt")  # doctest: +SKIP
    >>> prediction = model.predict("scan.nii.gz")  # doctest: +SKIP
    >>> prediction.mask.shape, prediction.probabilities.shape  # doctest: +SKIP
    ((512, 512, 300), torch.Size([1, 512, 512, 300]))
    >>> write_prediction("masks", prediction)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from segxfer3d.config import groups
from segxfer3d.config.image_files import ImageFiles
from segxfer3d.config.windows import STEPS, Mirroring, WindowSize, spread_of
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.protocol import Item, Preprocessing
from segxfer3d.errors import InputError
from segxfer3d.inference.air import Air
from segxfer3d.inference.channels import ModelChannels
from segxfer3d.inference.engines import with_engine
from segxfer3d.inference.inputs import find_inputs, kinds_of, wrong_kind
from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.inference.predicting import predictions
from segxfer3d.inference.predictions import Prediction
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks import SegmentationNetwork, build
from segxfer3d.networks.forward import layout_of
from segxfer3d.networks.room import require_step
from segxfer3d.networks.sizes import refuse_size
from segxfer3d.weights import checkpoint
from segxfer3d.weights.initialize import TransferReport, load_all

KEPT_BYTES = 2**28  # of volumes that were read before: a large CT, as its file stores it


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with what inference has to repeat.

    Attributes:
        network: in evaluation mode.
        preprocessing: of every case.
        classes: label value to name.
        patch_size: of the windows that a volume is seen through; the size of images.
        provenance: data and cases that it was trained on.
        path: of the checkpoint.
        inferer: how the network is applied: sliding windows, or a batch at once.
        transfer: which tensor of the checkpoint went where.
        batch_size: images of a forward pass.
        inference: how its outputs become masks.
        image_files: how the files of images are taken.
        members: paths of the models that are averaged; empty for one model.
        kept: volumes that were read before, such as by a check, and are not read again.
    """

    network: SegmentationNetwork = field(repr=False)
    preprocessing: Preprocessing
    classes: dict[int, str]
    patch_size: tuple[int, ...]
    provenance: dict[str, Any] = field(repr=False)
    path: str
    inferer: Inferer = field(repr=False)
    transfer: TransferReport = field(repr=False)
    batch_size: int = 4
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    image_files: ImageFiles = field(default_factory=ImageFiles, repr=False)
    members: tuple[str, ...] = ()
    kept: KeptVolumes = field(default_factory=lambda: KeptVolumes(KEPT_BYTES), repr=False)

    @property
    def dims(self) -> int:
        """3 for a model of volumes, 2 for one of images."""
        return self.preprocessing.dims

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def case_set(self, cases: Iterable[Case]) -> CaseSet:
        """Unlabeled cases as a data set that :func:`~segxfer3d.data.check.check` and ``preprocessing.read`` take."""
        cases = tuple(cases)
        root = Path(cases[0].image).parent if cases else Path()
        about = self.preprocessing.as_dict()
        return CaseSet(
            root,
            "folder",
            self.dims,
            cases,
            classes=self.classes,
            channels=about.get("channels", 1),
            channel_names=tuple(about.get("channel_names", ())),
            official=False,
            convert=self.image_files.image_kind != "auto",
            exif=self.image_files.exif,
        )

    def inputs(self, path: str | Path, **choice: str) -> CaseSet:
        """What there is to segment at a path; for what may be chosen (``series``, ``image_pattern``, ``label_pattern``,
        ``channel_pattern``, ``channel_names``, ``uneven``) see :func:`~segxfer3d.inference.inputs.find_inputs`.

        Raises:
            InputError: as there; a file of the wrong kind, and channels of other names or in another order than the
                model's, are refused with a sentence that says which.
        """
        channels = ModelChannels.of(self.preprocessing.as_dict(), self.path)
        return self.case_set(find_inputs(path, dims=self.dims, checkpoint=self.path, channels=channels, **choice))

    def predict(self, image: str | Path | Case) -> Prediction:
        """Segment one file, or a folder with one DICOM series.

        Raises:
            InputError: it cannot be read, or it is a volume and this a model of images, or the other way round.
        """
        return next(self.predict_each([image]))

    def predict_each(self, images: Iterable[str | Path | Case], *, probabilities: bool = True) -> Iterator[Prediction]:
        """Segment files in turn; images pass the network ``batch_size`` at a time.

        Args:
            images: paths, or cases.
            probabilities: keep those of volumes, one map a class; without them a volume takes little more memory than
                its mask, see :mod:`~segxfer3d.inference.volume_masks`.

        Raises:
            InputError: as :meth:`predict`, when it comes to the file.
        """
        return predictions(self, map(self._case, images), probabilities=probabilities)

    def logits(self, items: list[Item]) -> Tensor:
        """What the network makes of cases that preprocessing read: (N, outputs, *spatial), on its device."""
        images = stacked(items).to(self.device)
        with torch.no_grad():
            result: Tensor = self.inferer(images, self.network)
        return result

    def _case(self, image: str | Path | Case) -> Case:
        if isinstance(image, Case):
            path, case = Path(image.image), image
        else:
            path = Path(image)
            case = Case(kinds_of(path).get(self.dims, path.name), path)
        if self.dims == 2 and path.is_dir():
            raise InputError(
                f"{path}: a folder, expected an image; its images are predict_each(model.inputs(folder).cases)"
            )
        if (kinds := kinds_of(path)) and self.dims not in kinds:
            raise wrong_kind(path, dims=self.dims, checkpoint=self.path)
        if not path.exists():
            raise InputError(f"{path}: no such {'image' if self.dims == 2 else 'volume'}")
        return case


def network_input(images: Tensor) -> Tensor:
    """Images as the network takes them, float32 in [0, 1]; uint8 becomes a 255th, as in training."""
    return images.float().mul_(1 / 255) if images.dtype == torch.uint8 else images


def stacked(items: Iterable[Item]) -> Tensor:
    """The images of cases that preprocessing read, as one batch (N, C, *spatial) float32 in [0, 1].

    All have one shape: images do, and of volumes there is one in a batch.
    """
    return torch.stack([item["image"].as_subclass(Tensor) for item in items])


def load_model(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    channels_last: bool = True,
    overlap: float = 0.25,
    window: tuple[int, int, int] | None = None,
    spread: str = STEPS,
    reuse: bool = False,
    skip_air: bool = False,
    mirroring: bool | None = None,
    batch_size: int = 4,
    amp: bool = False,
    progress: bool = False,
    image_kind: str = "auto",
    exif: str = "auto",
    engine: str = "torch",
) -> Model:
    """A fine-tuned model from its file, every part loaded, in evaluation mode; it mirrors, and keeps the largest
    components, as its file says.

    Args:
        path: ``model.pt`` of a fine-tuning run.
        device: where the network goes.
        channels_last: the memory layout that is faster on most devices.
        overlap: of sliding windows, a share of a window.
        window: size of the windows, voxels; None: that of a patch.
        spread, reuse: how windows lie, and whether constant ones pass the network once, see
            :class:`~segxfer3d.inference.windows.WindowInferer`.
        skip_air: pass over windows of air, of a model of CT, see there.
        mirroring: None: mirrored as the file says; True: along all axes where it says none; False: not at all.
        batch_size: windows, or images, of a forward pass.
        amp: compute in bf16 where autocast does.
        progress: show a bar of windows.
        image_kind: ``auto`` refuses images of another kind (gray, color) than the model's; the model's kind converts
            them.
        exif: ``stored`` passes over the EXIF orientation of images; else they are turned as viewers do. Masks lie on
            the pixels as stored either way.
        engine: what computes the network, see :mod:`segxfer3d.inference.engines`.

    Raises:
        InputError: no such file, not a model of this package or a damaged one, or a pretrained one, which segments
            nothing yet; or a device or an engine that is not there, or a number out of its limits.
    """
    from segxfer3d.run.devices import find_device

    groups.Windows(overlap=overlap)
    WindowSize(window=window, spread=spread)
    Mirroring(mirroring=mirroring)
    groups.Inference(batch_size=batch_size)
    if not str(path):
        raise InputError("checkpoint: expected model.pt of a fine-tuning run (--checkpoint runs/.../model.pt)")
    content = checkpoint.read_model(path)
    if not content["classes"]:
        raise InputError(f"checkpoint {path}: a pretrained model, it segments nothing yet; fine-tune it first")
    preprocessing = preprocessings.from_dict(content["preprocessing"], str(path))
    inference = InferenceSettings.from_dict(content["inference"], str(path))
    _refuse_kind(image_kind, preprocessing)
    network = build(content["network"])
    outputs = content["network"]["arguments"].get("out_channels")
    inference.check_model(classes=list(content["classes"]), outputs=outputs, dims=preprocessing.dims, source=str(path))
    transfer = load_all(network, content["state_dict"], str(path))
    inference = inference.mirrored(mirroring, preprocessing.dims)
    network.to(find_device(str(device))).eval()
    if channels_last:
        network.to(memory_format=layout_of(network))  # type: ignore[call-overload]
    if preprocessing.dims == 3 and window is not None:
        require_step(network, (1, network.encoder.in_channels, *window), find_device(str(device)), training=False)
    network, amp, channels_last = with_engine(network, engine, amp=amp, channels_last=channels_last)
    patch_size = tuple(content["provenance"].get("patch_size", ()))
    if len(patch_size) != preprocessing.dims:
        raise InputError(
            f"checkpoint {path}: damaged: patch_size {list(patch_size)}; expected {preprocessing.dims} sides"
        )
    inferer: Inferer = MirroredForward(amp, channels_last, inference.mirror_axes)
    if preprocessing.dims == 3:
        inferer = WindowInferer(
            patch_size,
            overlap,
            batch_size=batch_size,
            amp=amp,
            channels_last=channels_last,
            progress=progress,
            mirror_axes=inference.mirror_axes,
            window=_usable(window, network),
            spread=spread_of(spread, len(content["classes"])),
            reuse=reuse,
            air=Air.of_model(preprocessing, inference.activation) if skip_air else None,
        )
    return Model(
        network=network,
        preprocessing=preprocessing,
        classes=content["classes"],
        patch_size=patch_size,
        provenance=content["provenance"],
        path=str(path),
        inferer=inferer,
        transfer=transfer,
        batch_size=batch_size,
        inference=inference,
        image_files=ImageFiles(image_kind=image_kind, exif=exif),
    )


def _usable(window: tuple[int, int, int] | None, network: SegmentationNetwork) -> tuple[int, int, int] | None:
    if window is not None:
        refuse_size(network, window, "window")
    return window


def _refuse_kind(image_kind: str, preprocessing: Preprocessing) -> None:
    """Refuse to convert images to a kind that the model is not for."""
    own = {1: "gray", 3: "color"}.get(preprocessing.as_dict().get("channels", 0), "")
    if preprocessing.dims == 2 and image_kind not in ("auto", own):
        raise InputError(f"image_kind {image_kind}: the model is for {own} images; expected auto or {own}")
