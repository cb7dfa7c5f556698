"""A MONAI bundle that runs without this package: TorchScript, MONAI's transforms, a license and a page."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.export import torchscript
from segxfer3d.export.bundle_config import inference_config
from segxfer3d.export.bundle_metadata import license_text, metadata, readme
from segxfer3d.export.compare import by_files
from segxfer3d.export.target import Compared, Target, Work

CONFIG, METADATA, LOGGING = "configs/inference.json", "configs/metadata.json", "configs/logging.conf"
_LOGGING = """[loggers]
keys=root

[handlers]
keys=console

[formatters]
keys=plain

[logger_root]
level=INFO
handlers=console

[handler_console]
class=StreamHandler
level=INFO
formatter=plain
args=(sys.stdout,)

[formatter_plain]
format=%(asctime)s - %(name)s - %(levelname)s - %(message)s
"""


def _write(work: Work, folder: Path) -> None:
    config, about = inference_config(work.model), metadata(work)
    for inner in ("configs", "models", "docs"):
        files.make_folder(folder / inner)
    files.write_json(folder / CONFIG, config)
    files.write_json(folder / METADATA, about)
    files.write_text(folder / LOGGING, _LOGGING)
    script = torchscript.scripted(work, whole=True)
    # MONAI Deploy reads both out of the script
    torchscript.save(script, folder / "models" / "model.ts", {"metadata.json": about, "inference.json": config})
    with files.replacing(folder / "models" / "model.pt") as file:
        torch.save(script.state_dict(), file)
    text = license_text() if work.license is None else work.license.read_text(encoding="utf-8")
    files.write_text(folder / "LICENSE", text)


def _compare(work: Work, folder: Path, case: Path, scratch: Path) -> Compared:
    """The case through the bundle as MONAI runs it."""
    expected = work.model.predict(case)
    with _quiet():
        parser = _parser(work, folder)
        parser["datalist"], parser["output_dir"] = [str(case)], str(scratch)
        parser.get_parsed_content("run", eval_expr=True)
        (item,) = parser.get_parsed_content("evaluator").state.output
    (written,) = scratch.glob("*.nii.gz")
    image: Any = nibabel.load(written)
    probabilities = item["probabilities"].as_tensor()[-len(work.model.classes) :]  # a background comes first
    return by_files(expected, np.asarray(image.dataobj), np.asarray(image.affine), probabilities)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MONAI's words on configs being code, on decoders that are not there, and on what is written."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _finish(work: Work, folder: Path, checked: str) -> None:
    files.write_text(folder / "docs" / "README.md", readme(work, checked))


def _parser(work: Work, folder: Path) -> Any:
    """The bundle's config, on the CPU."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(folder / CONFIG))
    parser.read_meta(str(folder / METADATA))
    parser["bundle_root"] = str(folder)
    parser["device"] = "$torch.device('cpu')"
    parser["inferer"]["progress"] = work.progress
    parser["handlers"] = []
    parser["postprocessing"]["transforms"].insert(
        2, {"_target_": "CopyItemsd", "keys": "pred", "names": "probabilities"}
    )
    return parser


def _refuse(work: Work, case: Path | None) -> None:
    """For what MONAI's transforms cannot do, or a reader of NIfTI."""
    model = work.model
    if model.dims == 2:
        raise InputError(
            f"{model.path}: a model of images, which MONAI's transforms do not resize as it was trained; expected --to "
            "onnx, openvino or torchscript"
        )
    if case is not None and not case.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"--case {case}: a bundle reads NIfTI; expected .nii or .nii.gz")
    if model.inference.largest_component and find_spec("skimage") is None:
        raise InputError(
            "--to bundle: scikit-image is not installed, by which MONAI finds the largest component "
            "(pip install scikit-image)"
        )
    inference_config(model)


TARGET = Target("bundle", "a MONAI bundle", _write, compare=_compare, refuse=_refuse, finish=_finish)
