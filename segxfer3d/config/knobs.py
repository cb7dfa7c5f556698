"""The knobs of the bundles: every top-level value that a user may turn, with its meaning and its limits.

A bundle names its knobs in its ``knobs`` section; :class:`Knobs` checks them all before any work starts. The
same table answers ``--help``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.config.initializations import INITIALIZATIONS
from segxfer3d.errors import InputError

SCHEDULES = ("constant", "warmup-cosine", "warmup-polynomial", "halving", "plateau")
OPTIMIZERS = ("adam", "adamw", "sgd", "lars")
# what may change when a run goes on: none of these changes what is computed, but for rounding on another device
FREE = {
    "output_dir", "resume", "save_interval", "progress", "num_workers",
    "device", "monitor_interval", "compile", "pretrain_config",
}  # fmt: skip
_PATHS = ("dataset_dir", "extra_dataset_dir", "checkpoint")


@dataclass(frozen=True)
class Knob:
    """One knob: what it expects in words, what it means, and a test that also turns the value into its type."""

    expected: str
    help: str
    convert: Callable[[Any], Any]


def _number(low: float, high: float, open_low: bool = False) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if isinstance(value, (bool, str)):
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or number > high or number < low or (open_low and number == low):
            raise ValueError
        return number

    return convert


def _integer(low: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, (bool, str)) or int(value) != value or value < low:
            raise ValueError
        return int(value)

    return convert


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _text(value: Any) -> str:
    # Fire turns a folder named 2024 into a number
    if value is None or isinstance(value, (bool, list, tuple, dict)):
        raise ValueError
    return str(value)


def _path(value: Any) -> str:
    # a shell leaves the ~ of --name=~/x alone
    text = _text(value)
    return str(Path(text).expanduser()) if text.startswith("~") else text


def _choice(*choices: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return convert


def _triple(convert_one: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def convert(value: Any) -> list[Any]:
        if isinstance(value, str) or len(value) != 3:
            raise ValueError
        return [convert_one(item) for item in value]

    return convert


def _patch(value: Any) -> list[int]:
    sizes = _triple(_integer(8))(value)
    if any(size % 8 for size in sizes):
        raise ValueError
    return sizes


def _side(value: Any) -> int:
    side = _integer(8)(value)
    if side % 8:
        raise ValueError
    return side


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _pattern(value: Any) -> str:
    text = _text(value)
    re.compile(text)  # re.error is handled as a bad value
    return text


def _one_of(choices: tuple[str, ...], help_text: str) -> Knob:
    return Knob("one of " + ", ".join(choices), help_text, _choice(*choices))


_YES_NO = "True or False"
_WHOLE = "a whole number of at least "

KNOBS: dict[str, Knob] = {
    "dataset_dir": Knob("a folder", "the data; empty: some are generated", _path),
    "patient_pattern": Knob(
        "a regular expression",
        "finds the patient in a file name (its first group); empty: see docs",
        _pattern,
    ),
    "dataset": Knob(
        "the name of a data set, or nothing",
        "layout of dataset_dir: flowers17, flowers102, oxford_pets, voc, cityscapes, cityscapes_cars, horses or folder "
        "(what is meant by nothing)",
        _text,
    ),
    "target": Knob("a name", "what is segmented or told apart, where the data set has several", _text),
    "border": _one_of(("ignore", "foreground", "background"), "what pixels are that annotators left open"),
    "extra_dataset": Knob("the name of a data set, or nothing", "layout of extra_dataset_dir", _text),
    "extra_dataset_dir": Knob("a folder, or nothing", "more images for pretraining, all of them", _path),
    "official_split": Knob(_YES_NO, "keep to the data set's own training and validation part", _boolean),
    "generated_images": Knob(_WHOLE + "20", "images made where no data is given", _integer(20)),
    "skip_bad_cases": Knob(_YES_NO, "go on without the cases that cannot be used, and record which", _boolean),
    "checkpoint": Knob("a file", "model.pt of a run, or a published Models Genesis checkpoint", _path),
    "init": _one_of(INITIALIZATIONS, "which parts start from the checkpoint, and which stay frozen"),
    "label_fraction": Knob(
        "a number above 0 and at most 1, or none",
        "share of the training patients whose labels are used",
        _optional(_number(0, 1, open_low=True)),
    ),
    "label_count": Knob(
        _WHOLE + "1, or none", "number of training patients whose labels are used", _optional(_integer(1))
    ),
    "pretrain_fraction": Knob(
        "a number from 0 to below 1",
        "share of the patients set apart for pretraining; 0: the training part serves",
        _number(0, 0.999),
    ),
    "validation_fraction": Knob(
        "a number from 0 to below 1", "share of the patients for validation", _number(0, 0.999)
    ),
    "test_fraction": Knob(
        "a number from 0 to below 1",
        "share of the patients for the final table; of images, 0 measures all that are not labeled",
        _number(0, 0.999),
    ),
    "split_seed": Knob(_WHOLE + "0", "seed of the split by patient; the same for every arm of a study", _integer(0)),
    "part": _one_of(("test", "validation", "train", "all"), "which part of the split is evaluated"),
    "seed": Knob(_WHOLE + "0", "seed of the labels drawn, the weights, the patches and the corruption", _integer(0)),
    "max_epochs": Knob(_WHOLE + "1", "number of epochs", _integer(1)),
    "steps_per_epoch": Knob(_WHOLE + "1", "training steps in an epoch", _integer(1)),
    "validation_interval": Knob(_WHOLE + "1", "epochs from one validation to the next", _integer(1)),
    "batch_size": Knob(_WHOLE + "1", "patches in a step, for each process", _integer(1)),
    "patch_size": Knob("three multiples of 8", "voxels of a training patch and of an inference window", _patch),
    "image_size": Knob("a multiple of 8", "pixels of a side of what the network sees (of 32 for a ResNet)", _side),
    "canvas_size": Knob(_WHOLE + "8", "pixels of a side of the stored images that views are cut from", _integer(8)),
    "foreground_share": Knob("a number from 0 to 1", "share of the patches centered on foreground", _number(0, 1)),
    "lesions": Knob(_YES_NO, "measure connected components too: which were found, and false positives", _boolean),
    "lesion_tolerance": Knob("mm, at least 0", "distance that the surface dice of a lesion allows", _number(0, 1e3)),
    "lesion_min_iou": Knob("a number from 0 to 1", "IoU that finds a lesion; 0: any overlap does", _number(0, 1)),
    "overlap": Knob("a number from 0 to below 1", "overlap of neighboring inference windows", _number(0, 0.99)),
    "crop_rule": _one_of(
        ("auto", "genesis", "uniform"),
        "how pretraining crops are drawn; auto: genesis where a CT is large enough",
    ),
    "spacing": Knob(
        "three millimeters, or none",
        "voxel spacing to resample to; none: native",
        _optional(_triple(_number(0, 1e3, True))),
    ),
    "intensity": _one_of(
        ("auto", "window", "percentile"),
        "how intensities become [0, 1]; auto: window for CT, percentile otherwise",
    ),
    "window_low": Knob("a number", "lower end of the HU window", _number(-1e6, 1e6)),
    "window_high": Knob("a number", "upper end of the HU window", _number(-1e6, 1e6)),
    "width": Knob(_WHOLE + "1", "channels of the first convolution; 32 is the published network", _integer(1)),
    "backbone": _one_of(
        ("conrec", "resnet18", "resnet34", "resnet50"), "encoder: the paper's, or one that ImageNet weights exist for"
    ),
    "batch_statistics": Knob(_YES_NO, "batch norm uses batch statistics in evaluation too", _boolean),
    "jitter_strength": Knob("a number from 0 to 1.5", "of the color jitter of views", _number(0, 1.5)),
    "temperature": Knob("a number above 0", "of the contrastive loss", _number(0, 1e3, open_low=True)),
    "momentum": Knob("a number from 0 to 1", "of the momentum encoder, at the start", _number(0, 1)),
    "queue_size": Knob(_WHOLE + "1", "keys that serve as negatives", _integer(1)),
    "own_stages": Knob(_WHOLE + "0", "decoder stages that each reconstruction head has for itself", _integer(0)),
    "reconstruction_weight": Knob("a number of at least 0", "of each reconstruction head's loss", _number(0, 1e6)),
    "pooling": _one_of(("average", "attention"), "how the encoder's output becomes one vector"),
    "probe": Knob(_YES_NO, "measure how well classes can be told from embeddings, where there are classes", _boolean),
    "monitor_interval": Knob(
        _WHOLE + "0", "epochs from one look at probes and pictures to the next; 0: never", _integer(0)
    ),
    "optimizer_name": _one_of(OPTIMIZERS, "the optimizer"),
    "lr": Knob("a number above 0", "peak learning rate", _number(0, 1e3, open_low=True)),
    "weight_decay": Knob("a number of at least 0", "weight decay (not on biases and norms)", _number(0, 1e3)),
    "schedule": _one_of(SCHEDULES, "course of the learning rate"),
    "warmup_fraction": Knob("a number from 0 to 1", "share of the steps in which the rate rises", _number(0, 1)),
    "patience": Knob(
        "a number of at least 0", "validations without progress before the run stops; 0: never", _integer(0)
    ),
    "keep": _one_of(("last", "best"), "which weights become model.pt: the last, or the best on validation"),
    "decoder_warmup_epochs": Knob(
        _WHOLE + "0", "epochs in which only decoder and head train, before all does", _integer(0)
    ),
    "clip_norm": Knob("a number of at least 0", "largest gradient norm; 0: no clipping", _number(0, 1e6)),
    "amp": Knob(_YES_NO, "bf16 autocast; by default where the device multiplies bf16 in hardware", _boolean),
    "channels_last": Knob(_YES_NO, "channels-last memory layout", _boolean),
    "compile": Knob(_YES_NO, "torch.compile the network", _boolean),
    "device": Knob("cpu, cuda or cuda:<n>", "where the network runs", _text),
    "num_workers": Knob(_WHOLE + "0", "loader processes", _integer(0)),
    "output_dir": Knob("a folder", "where the run, or the masks, are written", _path),
    "resume": Knob(_YES_NO, "go on with the run in output_dir", _boolean),
    "save_interval": Knob(_WHOLE + "1", "epochs from one training state to the next", _integer(1)),
    "progress": Knob(_YES_NO, "progress bars", _boolean),
    "input": Knob("a volume, or a folder of volumes", "what to segment", _path),
    "probabilities": Knob(_YES_NO, "write the probabilities beside the masks", _boolean),
    "phantom_patients": Knob(_WHOLE + "4", "patients made where no data is given", _integer(4)),
    "pretrain_config": Knob("a bundle", "run on the phantoms first, where no checkpoint is given", _path),
}


def listed(config: Mapping[str, Any]) -> dict[str, tuple[str, Knob]]:
    """The knobs of a bundle in the order of :data:`KNOBS`: name to default, in words, and knob.

    Args:
        config: the top level of the bundle.
    """
    found = {}
    for name, knob in KNOBS.items():
        # MONAI's standard ids share a name with a knob: a component is none; an alias follows another knob
        if name in config and not isinstance(config[name], dict) and not str(config[name]).startswith("@"):
            default = config[name]
            found[name] = (str(default).lstrip("$").replace("@", "") if default not in ("", None) else "none", knob)
    return found


class Knobs(dict[str, Any]):
    """The knobs of one job, checked; also readable as attributes.

    Raises:
        InputError: a value that its knob does not allow; all bad ones are listed at once.
    """

    def __init__(self, **values: Any) -> None:
        problems = []
        for name, value in values.items():
            knob = KNOBS[name]
            try:
                self[name] = knob.convert(value)
            except (ValueError, TypeError, re.error):
                problems.append(f"{name}: expected {knob.expected}, got {value!r}")
        if self.get("label_fraction") is not None and self.get("label_count") is not None:
            problems.append("label_fraction and label_count: expected one of them, got both")
        if "window_low" in self and "window_high" in self and self["window_low"] >= self["window_high"]:
            problems.append(f"window_low: expected less than window_high ({self['window_high']:g})")
        if problems:
            raise InputError("; ".join(problems))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes two sets of knobs two different runs, in words; paths are compared from the working directory."""
    changed = []
    for name, value in now.items():
        if name in before and name not in FREE and before[name] != value:
            if name in _PATHS and before[name] and value and Path(before[name]).resolve() == Path(value).resolve():
                continue
            changed.append(f"{name} {_shown(before[name])}, not {_shown(value)}")
    return changed


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
