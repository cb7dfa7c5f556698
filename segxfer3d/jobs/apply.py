"""Using a trained model: evaluating it on labeled cases, and getting masks for new volumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.io.nifti import write_nifti
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation.tables import CaseDataset, to_native
from segxfer3d.inference.components import COMPONENT_COLUMNS, components
from segxfer3d.inference.labels import to_label_map
from segxfer3d.inference.write import write_components
from segxfer3d.jobs.volumes import find_source
from segxfer3d.networks import SegmentationNetwork, build
from segxfer3d.networks.forward import layout_of
from segxfer3d.run.folder import Session
from segxfer3d.weights import checkpoint
from segxfer3d.weights import initialize as transfer


@dataclass
class Model:
    """A trained network with what inference has to repeat."""

    network: SegmentationNetwork
    preprocessing: VolumePreprocessing
    classes: dict[int, str]
    patch_size: tuple[int, ...]
    provenance: dict[str, Any]
    path: str


def load_model(session: Session) -> Model:
    """The model that the knob ``checkpoint`` names, every part loaded, on the session's device, in evaluation mode.

    Raises:
        InputError: no checkpoint given, or it is none of a fine-tuned model.
    """
    path = session.knobs.checkpoint
    if not path:
        raise InputError("checkpoint: expected model.pt of a fine-tuning run (--checkpoint runs/.../model.pt)")
    content = checkpoint.read_model(path)
    if not content["classes"]:
        raise InputError(f"checkpoint {path}: a pretrained model, it segments nothing yet; fine-tune it first")
    if "image_size" in content["preprocessing"]:
        raise InputError(f"checkpoint {path}: a model of 2D images; this job takes volumes only")
    network = build(content["network"])
    report = transfer.load_all(network, content["state_dict"], str(path))
    session.record("transfer", report.as_dict())
    network.to(session.device).eval()
    if session.knobs.channels_last:
        network.to(memory_format=layout_of(network))  # type: ignore[call-overload]
    return Model(
        network,
        VolumePreprocessing.from_dict(content["preprocessing"]),
        content["classes"],
        tuple(content["provenance"]["patch_size"]),
        content["provenance"],
        str(path),
    )


def evaluation_cases(session: Session, model: Model) -> CaseDataset:
    """The cases of the knob ``part``, preprocessed as the model's checkpoint says.

    Raises:
        InputError: the data set's classes are not the model's, or the part is empty.
    """
    source = find_source(session, labeled=True)
    if source.cases.classes.keys() != model.classes.keys():
        raise InputError(
            f"dataset_dir {source.cases.root}: label values {list(source.cases.classes)}, "
            f"the model knows {list(model.classes)}"
        )
    part = session.knobs.part
    cases = source.checked if part == "all" else getattr(source.split, part)
    if not cases:
        raise InputError(f"part {part}: no cases in it at these fractions")
    seen = {case.patient for case in cases} & set(model.provenance.get("patients", []))
    if seen and model.provenance.get("data") == source.name:
        session.say(
            f"warning: {len(seen)} of these patients' labels were used to train the model: not an honest figure"
        )
    return CaseDataset(cases, model.preprocessing, model.classes)


def find_inputs(path: str) -> list[Case]:
    """The volumes to segment: a file, a DICOM folder, or every volume of a folder.

    Raises:
        InputError: nothing there.
    """
    target = Path(path)
    if not path or not target.exists():
        raise InputError(f"input {path or '(none)'}: no such file or folder; expected a volume or a folder of volumes")
    if target.is_file():
        name = volume_name(target)
        if not name:
            raise InputError(f"input {target}: expected .nii, .nii.gz, .mhd, .mha, .nrrd or a DICOM folder")
        return [Case(name, target)]
    volumes = volumes_below(target)
    if not volumes:
        raise InputError(f"input {target}: no volumes in this folder")
    return [Case(name or target.name, volume) for name, volume in volumes.items()]


class Segmenter:
    """Writes a mask for every input, and ``components.csv``.

    Args:
        session: the run; knobs ``input`` and ``probabilities``.
        model: to use.
        inferer: sliding windows.
    """

    def __init__(self, session: Session, model: Model, inferer: Inferer) -> None:
        if session.world_size > 1:
            raise InputError("infer runs in one process; start it with python -m monai.bundle run, without torchrun")
        self.session = session
        self.model = model
        self.inferer = inferer
        self.transform = model.preprocessing.image_transform()
        inputs = CaseSet(Path(session.knobs.input), "folder", 3, tuple(find_inputs(session.knobs.input)))
        report = check(inputs, skip_bad=session.knobs.skip_bad_cases, progress=session.knobs.progress)
        session.record("data_check", report.as_dict())
        self.cases = report.good

    def run(self) -> None:
        """Segment every input in turn; a mask that is written stays, whatever happens to the next."""
        rows: list[dict[str, Any]] = []
        for number, case in enumerate(self.cases, 1):
            mask, affine, probabilities = self.segment(case)
            write_nifti(self.session.folder / f"{case.name}_mask.nii.gz", mask, affine)
            if self.session.knobs.probabilities:
                for channel, name in zip(probabilities, self.model.classes.values(), strict=True):
                    file = self.session.folder / f"{case.name}_{name}_probability.nii.gz"
                    write_nifti(file, channel.numpy(), affine)
            found = components(mask, case.name, classes=self.model.classes, affine=affine)
            rows += found
            write_components(self.session.folder / "components.csv", rows, COMPONENT_COLUMNS)
            self.session.say(
                f"{number}/{len(self.cases)} {case.name}: {len(found)} components, {int((mask > 0).sum())} voxels"
            )
        self.session.say(f"masks and components.csv: {self.session.folder}")

    def segment(self, case: Case) -> tuple[Any, Any, torch.Tensor]:
        """Label map (X, Y, Z) uint8, affine, and probabilities (K, X, Y, Z), on the input's own grid."""
        image = self.transform({"image": str(case.image)})["image"]
        with torch.no_grad():
            logits = self.inferer(image.as_tensor()[None].to(self.session.device), self.model.network)
        native = to_native(torch.sigmoid(logits[0]).cpu(), image, self.transform)
        probabilities = native.as_tensor().clamp(0, 1)
        return to_label_map(probabilities, list(self.model.classes)), native.affine.numpy(), probabilities
