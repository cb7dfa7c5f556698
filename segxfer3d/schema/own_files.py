"""What the files hold that runs, studies and records leave: name of the file to what is read of it.

Those of earlier versions fit too: what they lack is not among the entries that are needed. Entries that nobody reads
are not named here.
"""

from __future__ import annotations

from segxfer3d.schema.kinds import (
    FIGURE,
    FLAG,
    LIST,
    NAMES,
    NUMBER,
    OBJECT,
    PATH,
    TEXT,
    WHOLE,
    Entries,
    Kind,
    ListOf,
    Plain,
    Table,
    number,
    optional,
)  # fmt: skip

STAGE = Plain("pretrain or finetune", lambda value: value in ("pretrain", "finetune"))
_TRIAL = Entries(
    {
        "id": TEXT,
        "kind": STAGE,
        "folder": PATH,
        "config": PATH,
        "knobs": OBJECT,
        "identity": TEXT,
        "depends": ListOf(TEXT),
    },
    {
        **dict.fromkeys(("pretrain", "arm", "budget_name"), optional(TEXT)),
        **dict.fromkeys(("seed", "pretrain_seed", "fold"), optional(WHOLE)),
        "data": TEXT,
        "budget": optional(NUMBER),
        "parts": OBJECT,
    },
)
_PARTS = Entries({"code_version": TEXT, "data": OBJECT}, {"config": TEXT, "knobs": OBJECT, "before": LIST})
_CODE = Entries({"code_version": TEXT})
_START = Entries({"config": TEXT, "identity": TEXT, "parts": OBJECT, "values": OBJECT, "model": optional(TEXT)})
_RECORD = Entries(
    dict.fromkeys(("folder", "config", "identity", "hash"), TEXT)
    | {"kind": STAGE, "parts": _PARTS, "files": Table(TEXT)},
    {"start": optional(_START), "model": optional(TEXT)},
)
_CASES = Table(ListOf(TEXT))
_SEEN = Table(Entries({"spacing": ListOf(FIGURE, 3), "values": ListOf(ListOf(FIGURE, 2))}))
_SPLIT = dict.fromkeys(("pretrain", "train", "validation", "test"), NAMES)
_SEEDS = ListOf(WHOLE)
_ARM = Entries({}, {"init": TEXT, "knobs": OBJECT, **dict.fromkeys(("pretrain", "checkpoint"), optional(TEXT))})
_RUN = Entries({"knobs": OBJECT}, {"job": TEXT, "processes": WHOLE, "versions": OBJECT})
_DONE = Entries({"seconds": NUMBER}, {"cases": TEXT})

OF_A_RUN: dict[str, Kind] = {
    "run.json": _RUN,
    "done.json": _DONE,
    "failed.json": Entries({"error": TEXT}, {"seconds": NUMBER}),
    "split.json": Entries({}, {**_SPLIT, "unit": TEXT}),
    "labels.json": Entries({}, {"patients": NAMES, "cases": NAMES}),
    "made_from.json": Entries({}, {"cases": _CASES, "seen": _SEEN}),
    "accepted.json": ListOf(Entries({"cases": _CASES}, {"seen": _SEEN, "when": TEXT})),
    "rate.json": Entries({"lr": number("a number above 0", 0)}),
    "length.json": Entries(
        dict.fromkeys(("epochs", "steps_per_epoch"), number("a whole number above 0", 1, whole=True)),
        {"minutes": optional(NUMBER), "seconds_per_step": NUMBER, "timed": WHOLE, "clock": TEXT},
    ),
    "folds.json": Entries({"models": ListOf(PATH)}),
    "cases_pooled.json": Entries({"cases": Table(ListOf(NUMBER, 3)), "voxels": ListOf(ListOf(WHOLE))}),
    "cka.json": Entries({"names": ListOf(TEXT), "cka": ListOf(ListOf(optional(NUMBER)))}),
    "data_check.json": OBJECT,
    "transfer.json": OBJECT,
    "cases_summary.json": OBJECT,
    "precision.json": Entries({"used": TEXT}, {"trained": TEXT, "cases": WHOLE, "dice": Table(optional(NUMBER))}),
}
OF_A_STUDY: dict[str, Kind] = {
    "study.json": Entries(
        {"name": TEXT},
        {
            **dict.fromkeys(("parameters", "common", "finetune"), OBJECT),
            **dict.fromkeys(("pretrain", "data"), Table(OBJECT)),
            "arms": Table(_ARM),
            "budgets": ListOf(Entries({"name": TEXT, "value": NUMBER}, {"seeds": optional(_SEEDS), "knobs": OBJECT})),
            "seeds": _SEEDS,
            "pretrain_seeds": _SEEDS,
            "folds": optional(WHOLE),
            "published": optional(OBJECT),
            "margin": optional(NUMBER),
        },
    ),
    "trials.json": ListOf(_TRIAL),
    "trial.json": Entries({"config": TEXT, "parts": _PARTS}),
    "precision.json": Entries({"amp": FLAG}, {"bf16_speedup": optional(NUMBER), "by": TEXT}),
    "record.json": _RECORD,
    "recorded.json": _RECORD,
    "run.json.gz": Entries({"run.json": _RUN, "done.json": _DONE}),
    "again.json": Entries({"record": Entries({"parts": _CODE})}, {"same": FLAG, "parts": _CODE}),
}
KINDS = OF_A_RUN | OF_A_STUDY  # of two files with one name, the study's
# a line of metrics.jsonl; a loss or a measure that is no number is no damage
LINE = Entries({"epoch": WHOLE, "step": NUMBER})
