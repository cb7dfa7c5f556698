"""Names of earlier versions, for bundles that name components by them: one table of where they were and are.

A module that has moved can still be imported by its old name, which gives the names of this table and no others. Of a
bundle of the old form (``knobs`` and ``session`` sections), the first component that is built says which lines to
change.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from segxfer3d.errors import InputError

_PACKAGE = "segxfer3d"
OLD_FORM = (
    "this bundle has the form of an earlier version. `segxfer3d bundles copy .` writes those of today; easiest is to "
    "keep your own values in an overlay on one of them. Else three lines change:\n"
    '  the section "knobs" goes;\n'
    '  "session" becomes "options": "$reading.read(\'NAME\', groups.Run, ...)", "place" and "run_folder";\n'
    '  what took "session": "@session" takes what it does in the bundle of today: "run": "@run_folder", ...'
)
# modules of the old form: what is not in the table below has nothing that stands for it
OLD_FORM_MODULES = ("knobs", "guard", "runs", "apply", "handlers", "image_evaluation", "jobs.volumes", "jobs.images",
                    "jobs.training", "pretext_monitor")  # fmt: skip
# old module -> (name -> where it is now); "*" stands for every other name of that module
OLD_NAMES: dict[str, dict[str, str]] = {
    "engines": {
        "TrainInferer": "networks.forward.NetworkForward",
        "WindowInferer": "inference.windows.WindowInferer",
        "PretextTrainer": "training.engines.PretextTrainer",
        "PretextEvaluator": "training.engines.PretextEvaluator",
        "*": "networks.forward",
    },
    "handlers": {
        "RepeatableEpochs": "training.engines.RepeatableEpochs",
        "ItemOutput": "training.engines.ItemOutput",
        "StopOnNaN": "training.engines.StopOnNaN",
        "Validation": "training.engines.Validation",
        "DecoderWarmup": "training.warmup.DecoderWarmup",
        "Schedule": "training.schedules.Schedule",
        "Keep": "training.resume.Keep",
        "unwrap": "networks.forward.unwrap",
    },
    "optimization": {"make_schedule": "training.schedules.make_schedule", "*": "training.optimization"},
    "bundle": {"*": "run.bundle"},
    "checkpoint": {"*": "weights.checkpoint"},
    "transfer": {"*": "weights.initialize"},
    "metrics": {"class_index": "inference.labels.class_index", "*": "evaluation.metrics"},
    "lesions": {"*": "evaluation.lesions"},
    "previews": {"*": "evaluation.previews"},
    "monitors": {"*": "training.probes"},
    "losses.contrastive": {
        "Contrast": "losses.contrast.Contrast",
        "nt_xent": "losses.nt_xent.nt_xent",
        "info_nce": "losses.info_nce.info_nce",
        "negative_cosine": "losses.negative_cosine.negative_cosine",
        "embedding_std": "losses.embeddings.embedding_std",
    },
    "networks.imagenet": {"*": "networks.imagenet_unet"},
    "pretexts.views": {"*": "augment.views"},
    "pretexts.finetune_views": {"*": "augment.finetune_views"},
    "pretexts.color": {"*": "augment.color"},
    "pretexts.geometry": {"*": "augment.geometry"},
    "pretexts.box_corruption": {
        **{name: f"augment.conrec_parts.{name}" for name in ("inside", "shuffle", "in_paint", "out_paint")},
        "*": "augment.conrec_corruption",
    },
    "pretexts.corruption": {"*": "augment.genesis_corruption"},
    "analysis.cka": {"*": "interpret.cka"},
    "analysis.features": {"*": "interpret.features"},
    "analysis.gradcam": {"*": "interpret.gradcam"},
}
_PACKAGES = ("analysis",)  # folders that are gone, whose modules are in the table


class _Moved(ModuleType):
    """A module under its old name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        old = self.__name__.removeprefix(f"{_PACKAGE}.")
        table = OLD_NAMES.get(old, {})
        place = table.get(name, f"{table['*']}.{name}" if "*" in table else "")
        if place:
            module, _, attribute = place.rpartition(".")
            return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), attribute)
        if old in OLD_FORM_MODULES:
            from segxfer3d.config import command_line

            command_line.shorten_errors()  # what a new bundle does first
            raise InputError(OLD_FORM)
        raise AttributeError(f"{self.__name__} has moved, and {name} is not among what it keeps")


class _Finder(MetaPathFinder, Loader):
    """Finds what no other finder of Python finds: modules under their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, if it is in the table."""
        package, _, name = fullname.partition(".")
        if package != _PACKAGE or name not in {*OLD_NAMES, *OLD_FORM_MODULES, *_PACKAGES}:
            return None
        return ModuleSpec(fullname, self, is_package=name in _PACKAGES)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one."""
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are found when they are asked for."""


def install() -> None:
    """Let old names be found; they never stand in for a module that is there."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
