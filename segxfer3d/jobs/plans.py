"""The plan of a fine-tuning: of the run that goes on, of a file, or made from the cases whose labels train."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.config import groups, learning
from segxfer3d.config.channels import each_channel
from segxfer3d.config.options import Options
from segxfer3d.data.planning import Intensity, Plan
from segxfer3d.data.planning.fitting import GIB, MOST_FEATURES
from segxfer3d.data.planning.make import BY_HAND
from segxfer3d.data.planning.price import count_step
from segxfer3d.data.planning.topology import Topology, sides
from segxfer3d.data.planning.words import plan_text
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.jobs.shape import FEW_LEVELS, LEVELS, PLANNED_NETWORKS, Brought, is_deep, own_levels, shape_of
from segxfer3d.jobs.source import Source
from segxfer3d.run import processes
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder
from segxfer3d.schema.kinds import OBJECT
from segxfer3d.training.capacity import memory_of, plan_for

PLAN = "plan"  # the run's record of it
BROUGHT = "as the network of the checkpoint was trained"


def find_plan(
    options: Options, run: RunFolder, place: Place, source: Source, brought: Brought
) -> tuple[Plan, VolumePreprocessing]:
    """The plan that the option ``plan`` asks for, or the one that the run goes on with; and what it makes of volumes.

    What a checkpoint brings stands in the plan.

    Args:
        options: of the job.
        run: told what was planned.
        place: where it runs, whose memory and speed count.
        source: the cases.
        brought: by the network that is transferred, which goes before what would be planned.

    Raises:
        InputError: a plan that cannot be read, or values that cannot be used.
    """
    asked, made, taken = options[learning.Planned].plan, False, brought.preprocessing
    if run.goes_on_with(PLAN):
        plan = recorded_plan(run.path / f"{PLAN}.json")
        if asked == "data":
            own_levels(options, brought)  # draws what it drew when the plan was made, for a run that starts over
        if brought.published and not any(BROUGHT in plan.reasons.get(name, "") for name in ("spacing", "intensity")):
            taken = None  # of an earlier version, which planned them
    elif asked != "data":
        plan = plan_of_file(Path(asked), options)
        _refuse_other_levels(plan, asked, options, brought)
        plan = _priced(plan, asked, options, place, source)
    else:
        plan, made = _made(options, place, source, brought), True
    _refuse_other_channels(plan, asked, source)
    preprocessing = dataclasses.replace(plan.preprocessing(), channel_names=source.case_set.channel_names)
    if taken is not None:
        preprocessing = _as_brought(options[groups.Volumes], taken, preprocessing)
        plan = _with_preprocessing(plan, preprocessing)
    plan = _with_supervision(plan, options, brought)
    if made:
        run.say(plan_text(plan))
    return plan, preprocessing


def _refuse_other_channels(plan: Plan, asked: str, source: Source) -> None:
    """Refuse a plan for volumes of another number of channels."""
    if (planned := len(plan.intensities)) != source.case_set.channels:
        raise InputError(
            f"plan: {asked} has intensities of {planned} channels, the volumes have {source.case_set.channels}; "
            "expected a plan for them, or --plan data"
        )


def _refuse_other_levels(plan: Plan, asked: str, options: Options, brought: Brought) -> None:
    """Refuse a network from elsewhere under the plan of a file that is for another one: it would keep its own levels,
    and what starts at random under that plan would be another network."""
    if brought.name not in PLANNED_NETWORKS or brought.name != options[groups.Network].network:
        return
    for name in LEVELS:
        none = (1, 1, 1) if name == "stem" else None  # of which a definition says nothing
        its, planned = brought.arguments.get(name, none), getattr(plan, name)
        if its and json.loads(json.dumps(its)) != json.loads(json.dumps(planned)):
            raise InputError(
                f"plan: {asked} has {name} {_written(planned)}, the network of {options[groups.Start].checkpoint} "
                f"{_written(its)}; expected the plan that it was trained with, or --plan data"
            )


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _made(options: Options, place: Place, source: Source, brought: Brought) -> Plan:
    """From the training cases, around what is set by hand or brought."""
    volumes = options[groups.Volumes]
    fixed: dict[str, Any] = {
        "spacing": volumes.spacing,
        "patch_size": volumes.patch_size or brought.patch_size,
        "batch_size": options[groups.Training].batch_size,
        "width": options[groups.Network].width if options[groups.Network].network in PLANNED_NETWORKS else None,
        "intensity": None if volumes.intensity == "auto" else volumes.intensity,
        "window_low": volumes.window_low,
        "window_high": volumes.window_high,
        **own_levels(options, brought),
    }
    if brought.preprocessing is not None:
        fixed["spacing"] = fixed["spacing"] or brought.preprocessing.spacing
    sources = _sources(options, brought)
    plan, _ = plan_for(
        place.device,
        source.split.labeled,
        source.case_set,
        network=options[groups.Network].network,
        amp=options[groups.Run].amp,
        minutes=options[learning.Learning].minutes,
        fixed=fixed,
        sources=sources,
        kept=source.kept,
    )
    return Plan.from_dict(json.loads(processes.of_first(json.dumps(plan.as_dict()))))  # speed and memory differ


def _sources(options: Options, brought: Brought) -> dict[str, str]:
    """Where values come from that are not planned, and that nobody set by hand."""
    name, recipe = options[groups.Network].network, options[learning.Learning].recipe
    levels = BROUGHT if brought.name == name else f"as {name} has it"
    sources = {**dict.fromkeys(LEVELS, levels), "patch_size": BROUGHT, "spacing": BROUGHT}
    sources["batch_size"] = of_recipe = f"of the recipe {recipe}"
    volumes = options[groups.Volumes]
    for value, given in (("patch_size", volumes.patch_size), ("spacing", volumes.spacing)):
        if given is not None:
            sources[value] = of_recipe
    return {value: text for value, text in sources.items() if value not in options.by_hand}


def _as_brought(
    volumes: groups.Volumes, before: VolumePreprocessing, planned: VolumePreprocessing
) -> VolumePreprocessing:
    """As the transferred network was trained; but what is set by hand, of which the user is warned, see
    :func:`~segxfer3d.weights.passport.read_weights`, and the intensities of other channels."""
    spacing = before.spacing if volumes.spacing is None else volumes.spacing
    names = planned.channel_names
    others = before.channels != planned.channels or (before.channel_names and names and before.channel_names != names)
    chosen = planned if others or volumes.intensity != "auto" else before
    return dataclasses.replace(chosen, spacing=spacing, channel_names=names)


def _with_preprocessing(plan: Plan, used: VolumePreprocessing) -> Plan:
    """The plan with the intensities and the spacing that volumes get."""
    intensities = tuple(_as_planned(scale) for scale in used.scales)
    reasons = dict(plan.reasons)
    if intensities != plan.intensities:
        reasons["intensity"] = BROUGHT
    if used.spacing is None:
        reasons["spacing"] = f"sizes are planned for it; volumes keep the files' spacing: {BROUGHT}"
    elif used.spacing != plan.spacing:
        reasons["spacing"] = BROUGHT
    spacing = used.spacing or plan.spacing
    return dataclasses.replace(
        plan, intensity=intensities[0], further=intensities[1:], spacing=spacing, reasons=reasons
    )


def _as_planned(scale: Scale) -> Intensity:
    """What a plan says of a channel that is scaled so."""
    low, high = scale.clip if scale.intensity in ("window", "foreground") else (None, None)
    return Intensity(scale.intensity, low=low, high=high, mean=scale.mean, sd=scale.sd, nonzero=scale.nonzero)


def _with_supervision(plan: Plan, options: Options, brought: Brought) -> Plan:
    """The plan with a reason where it leaves out deep supervision, which the recipe has."""
    reasons = {name: reason for name, reason in plan.reasons.items() if name != "deep_supervision"}
    if options[learning.Learning].deep_supervision and not is_deep(options, shape_of(options, brought, plan)):
        reasons["deep_supervision"] = f"{FEW_LEVELS} levels of a network leave one to the decoder"
    return dataclasses.replace(plan, reasons=reasons)


def recorded_plan(path: Path) -> Plan:
    """The plan that a run keeps.

    Raises:
        InputError: it is missing or damaged.
    """
    return _read(path, "resume: ", "; it has the sizes of this run: start a new one")


def network_of(plan: str) -> str:
    """The network that the plan of a file is for; empty where there is none, or it does not say.

    Args:
        plan: the option: ``data``, ``none`` or a file, of which whoever reads it says what is wrong with it.
    """
    try:
        return "" if plan in ("data", "none") else str(documents.read(Path(plan), OBJECT).get("network", ""))
    except InputError:
        return ""


def plan_of_file(path: Path, options: Options) -> Plan:
    """The plan of a file, with what is set by hand in place of what it says.

    Args:
        path: of the file.
        options: of the job.

    Raises:
        InputError: it is none, is for another network, or lacks what an option needs.
    """
    plan = _read(path, "plan: ", "; expected data, none, or a file of segxfer3d plan --json")
    network = options[groups.Network].network
    if plan.network and network != plan.network:
        raise InputError(
            f"network {network}: {path} is a plan for {plan.network}, whose levels {network} does not have; expected "
            f"--network {plan.network}, or --plan data"
        )
    volumes, width = options[groups.Volumes], options[groups.Network].width
    by_hand: dict[str, Any] = {
        "spacing": volumes.spacing,
        "patch_size": volumes.patch_size,
        "batch_size": options[groups.Training].batch_size,
    }
    if width is not None and width != plan.features[0]:
        by_hand["features"] = tuple(
            min(max(width, MOST_FEATURES), width * 2**level) for level in range(len(plan.features))
        )
    intensities = _intensities(path, volumes, plan)
    by_hand |= {"intensity": intensities[0], "further": intensities[1:]}
    by_hand = {name: value for name, value in by_hand.items() if value is not None and value != getattr(plan, name)}
    said = dict.fromkeys(("intensity" if name == "further" else name for name in by_hand), BY_HAND)
    return dataclasses.replace(plan, **by_hand, reasons={**plan.reasons, **said})


def _priced(plan: Plan, asked: str, options: Options, place: Place, source: Source) -> Plan:
    """The plan with the memory that it takes here, as a plan made of the data is.

    Raises:
        InputError: more than there is, with the batch that would fit.
    """
    step = count_step(
        plan.patch_size,
        Topology(plan.strides, plan.kernels, plan.stem),
        features=plan.features,
        network=plan.network,
        channels=source.case_set.channels,
        classes=len(source.case_set.classes),
    )
    amp, room = options[groups.Run].amp, memory_of(place.device)
    taken = step.memory(plan.batch_size, amp=amp) / GIB
    if taken > room:
        fits = step.most(room * GIB, amp=amp)
        expected = f"--batch_size {fits}" if fits > 0 else "smaller patches (--patch_size) or a smaller --width"
        raise InputError(
            f"plan: patches of {sides(plan.patch_size)} with batch_size {plan.batch_size}, as {asked} and the options "
            f"have it, take about {taken:.3g} GiB, {room:.3g} may be used; expected {expected}"
        )
    return dataclasses.replace(plan, memory=round(taken, 3))


def _intensities(path: Path, volumes: groups.Volumes, plan: Plan) -> tuple[Intensity, ...]:
    """Those of the plan, with what is set by hand."""
    number = len(plan.intensities)
    rules = each_channel("intensity", volumes.intensity, number)
    lows = each_channel("window_low", volumes.window_low, number)
    highs = each_channel("window_high", volumes.window_high, number)
    chosen = []
    for rule, low, high, planned in zip(rules, lows, highs, plan.intensities, strict=True):
        if rule == "window":
            chosen.append(Intensity("window", low, high))
        elif rule in ("auto", planned.rule):
            chosen.append(planned)
        elif rule == "foreground":
            raise InputError(
                f"intensity foreground: {path} has no intensities of the foreground; expected a plan with them, or "
                "--plan data"
            )
        else:
            chosen.append(Intensity(rule))
    return tuple(chosen)


def _read(path: Path, before: str, after: str) -> Plan:
    content = documents.read(path, before=before, after=after)
    try:
        return Plan.from_dict(content)
    except InputError as error:
        raise InputError(f"{before}{path} is no plan ({error}){after}") from error
