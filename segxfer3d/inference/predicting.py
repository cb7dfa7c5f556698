"""From a model and cases to predictions: the next case is read while one passes the network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.data.preprocessing.scaled_volume import ScaledVolume, read_scaled
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import of_case
from segxfer3d.inference.as_stored import as_stored
from segxfer3d.inference.labels import index_to_values, probabilities_on_file
from segxfer3d.inference.predictions import Prediction
from segxfer3d.inference.volume_masks import KeptProbabilities, Way, segment

if TYPE_CHECKING:
    from segxfer3d.inference.model import Model

T = TypeVar("T")
Read = tuple[list[Case], list[Item]]


def predictions(model: Model, cases: Iterable[Case], *, probabilities: bool) -> Iterator[Prediction]:
    """What a model says of cases, in their order; see :meth:`Model.predict_each
    <segxfer3d.inference.model.Model.predict_each>`.

    Raises:
        InputError: a file that cannot be read, when it comes to it.
    """

    def read(batch: list[Case]) -> Read:
        case_set = model.case_set(batch)
        return batch, [_read(model, case, case_set) for case in batch]

    batches = batched(cases, model.batch_size if model.dims == 2 else 1)
    for batch, items in one_ahead(read, batches):
        grid = _grid_of(items[0]["image"]) if model.dims == 3 else None
        if grid is not None:
            yield _of_volume(model, batch[0], items.pop(), grid, probabilities)
        else:
            for case, item, logits in zip(batch, items, model.logits(items), strict=True):
                yield _on_file(model, case, item, logits)


def _read(model: Model, case: Case, case_set: CaseSet) -> Item:
    preprocessing = model.preprocessing
    if isinstance(preprocessing, VolumePreprocessing):
        scaled = read_scaled(preprocessing, case, model.kept)
        if scaled is not None:
            return {"image": scaled, "case": case.name, "patient": case.patient}
    return preprocessing.read(case, case_set, label=False, kept=model.kept)


def _grid_of(image: Any) -> FileGrid | None:
    return image.grid if isinstance(image, ScaledVolume) else FileGrid.of(image)


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many values, the last one of fewer."""
    rest = iter(values)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def one_ahead(work: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
    """Results of tasks in their order; while one is used the next is worked on in a thread, and no further one.

    Raises:
        Exception: what a task raises, or taking it, when it comes to it.
    """
    rest, done = iter(tasks), object()

    def step() -> Any:
        task = next(rest, done)
        return done if task is done else work(task)

    with ThreadPoolExecutor(1, "reading") as pool:
        coming: Future[Any] = pool.submit(step)
        while (result := coming.result()) is not done:
            coming = pool.submit(step)
            yield result
            del result  # not while the next one is waited for


def _of_volume(model: Model, case: Case, item: Item, grid: FileGrid, probabilities: bool) -> Prediction:
    """What is said of a volume, window by window."""
    classes = list(model.classes)
    way = Way(model.inferer, model.network, model.device, model.inference, classes)
    image = item["image"]
    notes = tuple(image.notes if isinstance(image, ScaledVolume) else image.meta.get("read_notes", ()))
    kept = KeptProbabilities(len(classes)) if probabilities else None
    with of_case(item["case"]):
        index = segment(item, grid, way, [] if kept is None else [kept])
    values = None if kept is None else kept.values
    return Prediction(
        item["case"], values, index_to_values(index, classes), grid.affine, model.classes, notes, case.image
    )


def _on_file(model: Model, case: Case, item: Item, logits: Tensor) -> Prediction:
    """What is said of an image, or of a volume whose grid was resampled and is sheared, by all its logits."""
    turn, classes = item.get("turn", 1), list(model.classes)
    on_file = probabilities_on_file(logits, item, model.preprocessing, model.inference.activation)
    probabilities = as_stored(on_file, turn)
    affine = getattr(probabilities, "affine", None)
    plain = probabilities.as_subclass(Tensor)
    with of_case(item["case"]):
        index = model.inference.class_index(plain, classes)
    return Prediction(
        name=item["case"],
        probabilities=plain,
        mask=index_to_values(index, classes),
        affine=None if affine is None else np.asarray(affine, np.float64),
        classes=model.classes,
        notes=tuple(getattr(item["image"], "meta", {}).get("read_notes", ())),
        source=case.image,
        turn=turn,
    )
