"""What every training has: loaders, the network on its device, the model file, the final table."""

from __future__ import annotations

import signal
import warnings
from pathlib import Path
from typing import Any

from monai.engines import SupervisedEvaluator
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation.tables import CaseTable, format_table, save_previews
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import layout_of
from segxfer3d.pretexts.base import Pretext
from segxfer3d.run import processes
from segxfer3d.run.folder import Session
from segxfer3d.weights import checkpoint


def train_loader(session: Session, dataset: SeededDataset) -> DataLoader[Any]:
    """A loader that keeps the order of ``dataset`` (random already), each process taking its share."""
    knobs = session.knobs
    sampler: DistributedSampler[Any] | None = None
    if session.world_size > 1:
        sampler = DistributedSampler(dataset, session.world_size, session.rank, shuffle=False)
    return DataLoader(
        dataset,
        batch_size=knobs.batch_size,
        sampler=sampler,
        num_workers=knobs.num_workers,
        drop_last=True,
        pin_memory=session.device.type == "cuda",
        persistent_workers=knobs.num_workers > 0,
        worker_init_fn=_leave_interrupts,
    )


def _leave_interrupts(_: int) -> None:
    """A terminal sends Ctrl-C to the loader's processes too: one that died of it would be reported as a failure, before
    the trainer says that it was stopped. The trainer ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def loss_loader(session: Session, dataset: SeededDataset | None) -> DataLoader[Any] | None:
    """A loader of fixed validation batches for a pretext's loss."""
    if dataset is None:
        return None
    size = session.knobs.batch_size
    return DataLoader(dataset, batch_size=size, drop_last=len(dataset) >= size)  # one sample has nothing to contrast


def to_training(session: Session, network: nn.Module) -> nn.Module:
    """Bring a network (or pretext) to the device, in the wanted layout, compiled and distributed as asked."""
    knobs = session.knobs
    if isinstance(network, Pretext):
        network.check(knobs.batch_size)
    network = network.to(session.device)
    if knobs.channels_last:
        network = network.to(memory_format=layout_of(network))  # type: ignore[call-overload]
    if session.world_size > 1:
        # a frozen encoder has no gradients in the first epochs of a decoder warm-up
        unused = knobs.get("decoder_warmup_epochs", 0) > 0
        # the head's 1x1x1 weights have no layout of their own: a note about speed that is of no use here
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        devices = [session.device.index] if session.device.type == "cuda" else None
        network = nn.parallel.DistributedDataParallel(network, devices, find_unused_parameters=unused)
    if knobs.compile:
        network.compile()
    return network


class ModelWriter:
    """Writes ``model.pt`` of a run.

    Args:
        session: the run.
        preprocessing: what inference has to repeat.
        classes: label value to name; empty for a pretext.
        provenance: data and cases it was trained on.
        pretext: what it was trained by, where it is a pretext: which parts it trained is noted.
    """

    def __init__(
        self,
        session: Session,
        preprocessing: VolumePreprocessing | ImagePreprocessing,
        classes: dict[int, str],
        provenance: dict[str, Any],
        pretext: Pretext | None = None,
    ) -> None:
        self.session = session
        self.preprocessing = preprocessing
        self.classes = classes
        self.provenance = provenance
        if pretext is not None:
            trained = {"pretext": type(pretext).__name__, "trained_parts": list(pretext.trained_parts)}
            self.provenance = provenance | trained

    def write(self, network: SegmentationNetwork) -> Path:
        """Write the weights of ``network``; gives the file."""
        knobs = self.session.knobs
        path = self.session.folder / "model.pt"
        provenance = {
            "job": self.session.job,
            "patch_size": list(knobs.patch_size) if "patch_size" in knobs else [knobs.image_size] * 2,
            "seed": knobs.seed,
            "init": knobs.get("init", ""),
            **self.provenance,
        }
        if self.session.main:
            checkpoint.write_model(
                path, network.state_dict(), network.definition, self.preprocessing.as_dict(), self.classes, provenance
            )
        self.session.say(f"model: {path}")
        return path


def final_table(session: Session, evaluator: SupervisedEvaluator, table: CaseTable) -> None:
    """Evaluate, and show the short table that a run ends with."""
    if len(table.dataset) == 0:
        session.say("no test patients (test_fraction 0): no table")
        return
    processes.share_buffers(evaluator.network)
    evaluator.run()
    session.say(format_table(f"{session.job}, test part", table.summary))
    session.say(f"every case: {session.folder / table.file}")
    save_previews(session, evaluator, table)
