"""Data to pretrain on that lie in a cube store: the cubes of those whom the split lets pretrain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from torch.utils.data import Subset

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.data.case import CaseSet
from segxfer3d.data.cubes.store import CubeStore
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.split import Split
from segxfer3d.errors import InputError
from segxfer3d.files import names_hash
from segxfer3d.jobs.own_split import split_cases, split_said
from segxfer3d.jobs.pretrain_images import PretrainingData, Transform
from segxfer3d.jobs.source import SplitRule
from segxfer3d.jobs.unused import refuse_other_cubes
from segxfer3d.jobs.unvalidated import refuse_unvalidated
from segxfer3d.run.folder import RunFolder

_SAYS = "segxfer3d data cubes writes one that does"


def stored_cubes(
    options: Options,
    run: RunFolder,
    folder: Path,
    *,
    size: tuple[int, int, int],
    transform: Transform | None,
    length: int,
    split_rule: SplitRule,
) -> PretrainingData:
    """Cubes of a store. The split is that of the data set which they were cut from, so what a fine-tuning on it tests
    with the same split options never trains; a store of an earlier version, which does not say who has labels, trains
    on all its cubes.

    Args:
        options: of the job.
        run: told what was found; records the split.
        folder: of the store.
        size: of the cubes, in voxels.
        transform: what is done to every cube.
        length: items in an epoch.
        split_rule: who is in which part.

    Raises:
        InputError: no store or a damaged one, cubes of another size, a split that cannot be made or leaves no cubes, or
            options of a split beside a store of an earlier version.
    """
    store = CubeStore(folder)
    if tuple(store.size) != size:
        raise InputError(f"patch_size: the cube store {folder} holds cubes of {list(store.size)}, not {list(size)}")
    run.made_from.take(cubes=store.identity)
    if store.listed:
        split = _split(options, run, store, split_rule)
        learned, held = ({case.name for case in part} for part in (split.pretrain, split.validation))
    else:
        _refuse_split(options, folder)
        learned, held = {case.case for case in store.cases}, set()
        run.say(f"warning: {folder} does not say who has labels, so the patients of all its cubes pretrain; {_SAYS}")
    preprocessing = VolumePreprocessing.from_dict(store.preprocessing)
    refuse_other_cubes(options, preprocessing, folder)
    train, validation = _items(store, learned), _items(store, held)
    if not train:
        raise InputError(f"{folder}: no cubes of the {len(learned)} volumes that pretrain")
    refuse_unvalidated(options, len(validation))
    count = min(len(validation), 2 * sum(case.case in held for case in store.cases), 32)
    return PretrainingData(
        SeededDataset(train, transform, options[groups.Training].seed, length),
        SeededDataset(validation, transform, 0, count) if validation else None,
        preprocessing,
        _provenance(store, learned, len(train)),
        channels=preprocessing.channels,
    )


def _split(options: Options, run: RunFolder, store: CubeStore, rule: SplitRule) -> Split:
    """The split of the data set that the cubes were cut from, as its own folder would be split."""
    usable = [case for case in store.listed if case.name not in store.bad]
    said = split_said(options, labels=False)
    if said is None:
        split = split_cases(options, usable, rule, labels=False)
    else:
        said.look(CaseSet(store.folder, "cubes", 3, store.listed))
        split = said.split(options, usable, dims=3, labels=False, run=run)
    record = split.as_dict() | (said.record if said else {})
    run.record("split", record)
    run.made_from.take(split=record)
    with_cubes = {case.case for case in store.cases}
    learned, held = (sum(case.name in with_cubes for case in part) for part in (split.pretrain, split.validation))
    of = f"{len(with_cubes)} of {len(store.listed)} volumes"
    run.say(f"data: cubes of {of}; those of {learned} pretrain, those of {held} validate")
    return split


def _refuse_split(options: Options, folder: Path) -> None:
    """Refuse options of a split beside a store that cannot be split."""
    names = ("split_file", "fold", "pretrain_fraction", "validation_fraction", "test_fraction", "split_seed")
    if asked := [name for name in names if options.is_asked(name)]:
        raise InputError(
            f"{asked[0]}: the cube store {folder} was written before stores said who has labels, so it cannot be "
            f"split; {_SAYS}"
        )


def _items(store: CubeStore, cases: set[str]) -> Sequence[Any]:
    """The cubes of some cases."""
    rows = store.rows(cases)
    cubes: Any = store  # which is no Dataset of torch by name
    items: Sequence[Any] = store if len(rows) == len(store) else cast(Any, Subset(cubes, rows))
    return items if rows else ()


def _provenance(store: CubeStore, cases: set[str], cubes: int) -> dict[str, Any]:
    """Which cases the cubes that train come from, for a checkpoint; ``store`` where ``data`` is no store's name."""
    used = [case for case in store.cases if case.case in cases]
    name = store.folder.resolve().name
    return {
        "data": store.data or name,
        **({"store": name} if store.data else {}),
        "cases": len(used),
        "cubes": cubes,
        "patients": sorted({case.patient for case in used}),
        "cases_hash": names_hash(case.case for case in used),
        "contents": sorted({case.content for case in used} - {""}),
    }
