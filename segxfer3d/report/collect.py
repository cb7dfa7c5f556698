"""Find the runs of a study, or of any folder, and read what they left as plain data; no damage stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segxfer3d.config.initializations import INITIALIZATIONS, needs_checkpoint
from segxfer3d.errors import InputError
from segxfer3d.files import names_hash
from segxfer3d.report.arms import Arm, name_arms, study_arms, with_recipes
from segxfer3d.report.data_names import with_data
from segxfer3d.report.folds import fold_of, incomplete
from segxfer3d.report.pretexts import noted
from segxfer3d.report.recorded import differing_starts, recorded_trials
from segxfer3d.report.run_files import Problem, Run, read_json, read_results, read_run
from segxfer3d.report.same_data import other_data
from segxfer3d.schema.kinds import NUMBER, PATH, TEXT, WHOLE, Entries, ListOf, first_problem, optional, shown
from segxfer3d.study.recipes import MIXED
from segxfer3d.study.records import is_record
from segxfer3d.study.states import DONE
from segxfer3d.study.trials import is_outside, leads_to

_TRIAL = Entries(
    {"folder": PATH, "kind": TEXT},
    {
        **dict.fromkeys(("arm", "budget_name"), optional(TEXT)),
        **dict.fromkeys(("seed", "pretrain_seed"), optional(WHOLE)),
        "budget": optional(NUMBER),
        "id": TEXT,
        "depends": ListOf(TEXT),
    },
)
_FINETUNING = Entries({"arm": TEXT, "seed": WHOLE, "budget": NUMBER})
_KINDS = ("pretrain", "finetune")  # the last part of a job's name


@dataclass(frozen=True, eq=False)
class Collection:
    """What a folder holds.

    Attributes:
        folder: it.
        name: of the study, or of the folder.
        study: ``study.json``; empty for a folder of runs.
        arms: what was compared, the reference first where it is ``random``.
        runs: all of them, in whatever state.
        cka: path below the folder to the content of each ``cka.json``.
        problems: what is damaged or missing, and where.
        other_data: those of the problems that say which trainings were made from other data than the rest.
    """

    folder: Path
    name: str
    study: dict[str, Any] = field(default_factory=dict)
    arms: tuple[Arm, ...] = ()
    runs: tuple[Run, ...] = ()
    cka: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    other_data: tuple[Problem, ...] = ()

    def arm(self, name: str) -> Arm:
        """The arm of this name; an unknown one is known by its name only."""
        return next((arm for arm in self.arms if arm.name == name), Arm(name))

    def finetunings(self, state: str = DONE) -> list[Run]:
        """The fine-tunings in this state."""
        return [run for run in self.runs if run.kind == "finetune" and run.state == state]


def collect(folder: Path | str) -> Collection:
    """Read a study's folder (with ``trials.json``), its record, or any folder that has runs below it.

    Of a folder of runs, arms are the initializations, told apart further by whatever knob differs between runs of one
    initialization, and by the checkpoint where one seed starts from several; the budget is ``label_count`` or
    ``label_fraction``, and the data set is ``dataset`` or the name of ``dataset_dir`` (both, where several have one
    ``dataset``), with the target.

    Args:
        folder: of the study or the runs.

    Raises:
        InputError: no such folder, not a single run in it, a record that was edited, or fine-tunings of different
            recipes that the study does not ask for.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a study's, or one with runs in it")
    problems: list[Problem] = []
    study = read_json(folder / "study.json", dict, ".", problems)
    packed: Sequence[Mapping[str, str] | None] = ()
    if is_record(folder) and not (folder / "trials.json").exists():
        entries, packed = recorded_trials(folder, study, problems)
        problems += differing_starts(entries)
    else:
        trials = read_json(folder / "trials.json", list, ".", problems)
        entries = [entry for entry in trials if _usable(folder, entry, problems)]
    runs, arms = _trials(folder, study, entries, packed, problems) if entries else _named(folder, problems)
    if not runs:
        raise InputError(f"{folder}: no run in it; expected trials.json of a study, or folders with run.json")
    done = [run for run in runs if run.kind == "finetune" and run.state == DONE]
    arms = with_recipes(arms, done, mixed=study.get(MIXED) is True)
    others = other_data(runs)
    problems += [*others, *_other_tests(runs), *incomplete(runs)]
    cka = _similarities(folder, problems)
    name = str(study.get("name") or folder.resolve().name)
    every = tuple(dict.fromkeys(problems))
    return Collection(folder, name, study, tuple(arms), tuple(runs), cka, every, tuple(others))


def _trials(
    folder: Path,
    study: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    packed: Sequence[Mapping[str, str] | None],
    problems: list[Problem],
) -> tuple[list[Run], list[Arm]]:
    """The trials of a study and its arms, those that ``study.json`` does not name at the end."""
    runs = _with_pretexts([_trial(folder, entry) for entry in entries], entries)
    if packed:  # of a record
        runs = [replace(run, packed=texts) for run, texts in zip(runs, packed, strict=True)]
    runs = _all(read_run, runs, problems)
    bundles = [Path(str(entry.get("config", ""))).stem for entry in entries]
    arms = study_arms(study, noted([run.description for run in runs], bundles), _checkpoints(entries))
    runs = _all(read_results, runs, problems)
    arms += [Arm(name) for name in dict.fromkeys(run.arm for run in runs if run.arm) if name not in _names(arms)]
    return runs, arms


def _checkpoints(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name of an arm to the fingerprint of its checkpoint from elsewhere, where its trials tell."""
    found = {}
    for entry in entries:
        parts = entry.get("parts")
        data = parts.get("data") if isinstance(parts, dict) else None
        if isinstance(data, dict) and "checkpoint" in data:
            found[str(entry.get("arm"))] = str(data["checkpoint"])
    return found


def _named(folder: Path, problems: list[Problem]) -> tuple[list[Run], list[Arm]]:
    """The runs below a folder, and the arms that tell its fine-tunings apart."""
    runs = with_data([_described(run) for run in _all(read_run, _runs_below(folder), problems)])
    runs, outside = _with_sources(runs)
    runs, arms = name_arms(runs, noted([*outside, *(run.description for run in runs)]))
    return _all(read_results, runs, problems), arms


def _similarities(folder: Path, problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """Each ``cka.json`` in a folder or directly below it."""
    contents = {}
    for path in sorted({*folder.glob("cka.json"), *folder.glob("*/cka.json")}):
        content = read_json(path, dict, path.parent.relative_to(folder).as_posix(), problems)
        if content:
            contents[path.relative_to(folder).as_posix()] = content
    return contents


def _usable(folder: Path, entry: Any, problems: list[Problem]) -> bool:
    """Whether an entry of ``trials.json`` says what is needed of a trial."""
    why = first_problem(_TRIAL, entry)
    if not why and entry["kind"] == "finetune":
        why = first_problem(_FINETUNING, entry)
    if not why and is_outside(entry["folder"]):
        why = f"folder {shown(entry['folder'])} is not inside the study's"
    if why:
        problems.append(Problem("trials.json", f"an entry that is no trial: {why}"))
    elif (place := leads_to(folder, entry["folder"])) is not None:
        problems.append(Problem(entry["folder"], f"a link leads out of the study's folder, to {place}"))
    return not why


def _trial(folder: Path, entry: Mapping[str, Any]) -> Run:
    return Run(
        name=entry["folder"],
        folder=folder / entry["folder"],
        kind=entry["kind"],
        state="",
        arm=entry.get("arm") or "",
        data=str(entry.get("data") or ""),
        budget=float(entry["budget"]) if entry.get("budget") is not None else None,
        budget_name=str(entry.get("budget_name") or ""),
        seed=entry.get("seed"),
        pretrain_seed=entry.get("pretrain_seed"),
    )


def _with_pretexts(runs: list[Run], entries: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Each trial with the job that made its checkpoint, from the config of what it depends on."""
    jobs = {
        entry.get("id"): Path(str(entry.get("config", ""))).stem for entry in entries if entry["kind"] == "pretrain"
    }
    return [
        replace(run, pretext=next((jobs[name] for name in entry.get("depends") or () if jobs.get(name)), ""))
        for run, entry in zip(runs, entries, strict=True)
    ]


def _runs_below(folder: Path) -> list[Run]:
    """A run for each ``run.json`` at or below a folder."""
    places = [path.parent for path in sorted(folder.rglob("run.json"))]
    return [Run(place.relative_to(folder).as_posix(), place, "", "") for place in places]


def _described(run: Run) -> Run:
    """What a run was, from its own ``run.json``."""
    knobs = run.knobs
    kind = run.job.rsplit("_", 1)[-1]
    if kind not in _KINDS:
        kind = run.job or "unknown"
    count, share = knobs.get("label_count"), knobs.get("label_fraction")
    seed = knobs.get("seed")
    if isinstance(count, (int, float)):
        budget, budget_name = float(count), f"n{count:g}"
    elif isinstance(share, (int, float)):
        budget, budget_name = float(share), f"f{share:g}"
    else:
        budget, budget_name = 1.0, "all"
    known = kind == "finetune" and isinstance(seed, int)
    return replace(
        run, kind=kind, budget=budget if known else None, budget_name=budget_name if known else "",
        seed=seed if isinstance(seed, int) else None,
    )  # fmt: skip


def _with_sources(runs: list[Run]) -> tuple[list[Run], list[dict[str, Any]]]:
    """Each fine-tuning with its checkpoint, and the job that made it, where that run is here or beside its checkpoint.

    Returns:
        the runs, and the ``run.json`` of the runs that are not among them.
    """
    jobs = {run.folder.resolve(): run.job for run in runs}
    outside: dict[Path, dict[str, Any]] = {}

    def source(run: Run) -> tuple[str, str]:
        path = str(run.transfer.get("source") or run.knobs.get("checkpoint") or "")
        init = run.knobs.get("init")
        if not path or (init in INITIALIZATIONS and not needs_checkpoint(init)):
            return "", ""
        folder = Path(path).parent.resolve()
        if folder not in jobs and folder not in outside:
            outside[folder] = read_json(folder / "run.json", dict, ".", [])
        job = str(jobs.get(folder) or outside.get(folder, {}).get("job") or Path(path).stem)
        return job, str(folder / Path(path).name)

    found = {run.name: source(run) for run in runs if run.kind == "finetune"}
    with_sources = [
        replace(run, pretext=found[run.name][0], start=found[run.name][1]) if run.name in found else run for run in runs
    ]
    return with_sources, list(outside.values())


def _all(read: Callable[[Run], tuple[Run, list[Problem]]], runs: Iterable[Run], problems: list[Problem]) -> list[Run]:
    """Read all runs, and note the problems."""
    filled = []
    for run in runs:
        run, of_run = read(run)
        filled.append(run)
        problems += of_run
    return filled


def _names(arms: Iterable[Arm]) -> set[str]:
    return {arm.name for arm in arms}


def _other_tests(runs: Iterable[Run]) -> list[Problem]:
    """Arms that were measured on other cases than the rest, with one data set, budget and seed."""
    parts: dict[tuple[Any, ...], dict[str, list[Run]]] = {}
    for run in runs:
        if run.scores:
            cases = names_hash(score.case for score in run.scores["dice"])
            parts.setdefault((run.data, run.budget_name, run.seed, fold_of(run)), {}).setdefault(cases, []).append(run)
    return [
        Problem(fewer[0].name, "measured on other test cases than most runs with its data, labels and seed")
        for of_cases in parts.values()
        for fewer in sorted(of_cases.values(), key=len)[:-1]
    ]
