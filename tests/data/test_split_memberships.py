"""Who is in which part is what it was before the two rules were functions of one module.

``split_memberships.json`` holds, for twenty seeds, the first twelve digits of the SHA-256 of the names in all parts, as
the jobs' calls of the older functions gave them.
"""

import hashlib
import json
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.split import by_patient, few_of_all

RECORDED = json.loads(Path(__file__).with_name("split_memberships.json").read_text(encoding="utf-8"))
FILE = Path("x")

VOLUMES = [
    Case(f"v{i:02d}-{scan}", FILE, FILE if i % 6 != 5 and not (i % 8 == 4 and scan == 1) else None, f"v{i:02d}")
    for i in range(29)
    for scan in range(2 if i % 4 == 0 else 1)
]
LABELED = [case for case in VOLUMES if case.label]
UNLABELED = [Case(f"u{i:02d}", FILE) for i in range(11)]
FOLDS = [Case(f"s{i:02d}", FILE, FILE, f"p{i // 2 if i < 8 else i:02d}", fold=i * 7 % 10) for i in range(30)]
IMAGES = [Case(f"i{i:02d}", FILE, FILE) for i in range(41)]
GROUPS = [Case(f"g{i:02d}", FILE, FILE, f"scene{i * 5 % 17}") for i in range(51)]
OFFICIAL = [Case(f"o{i:02d}", FILE, FILE, part="val" if i % 3 == 1 else "train") for i in range(33)]


def short(split, parts):
    names = [" ".join(case.name for case in getattr(split, part)) for part in parts]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:12]


def memberships(split_seed):
    seed = (split_seed * 7 + 3) % 20
    all_parts, pretraining = ("pretrain", "train", "labeled", "validation", "test"), ("pretrain", "validation")

    def of(rule, cases, pretrain, validation, test, parts=all_parts, **options):
        split = rule(
            cases, pretrain_fraction=pretrain, validation_fraction=validation, test_fraction=test,
            split_seed=split_seed, seed=seed, **options,
        )  # fmt: skip
        return short(split, parts)

    found = {
        "volumes": of(by_patient, LABELED, 0.0, 0.15, 0.25, label_count=3),
        "volumes set apart": of(by_patient, LABELED[::-1], 0.25, 0.1, 0.35, label_fraction=0.5),
        "volumes all labels": of(by_patient, LABELED, 0.3, 0.0, 0.2),
        "volumes for pretraining": of(by_patient, VOLUMES, 0.25, 0.1, 0.35, labels=False),
        "volumes without labels": of(by_patient, UNLABELED, 0.0, 0.15, 0.25, labels=False),
        "volumes by fold": of(by_patient, FOLDS, 0.0, 0.15, 0.25, label_count=4),
        "official": of(few_of_all, OFFICIAL, 0.0, 0.25, 0.0, label_count=6, official=True),
        "official for pretraining": of(few_of_all, OFFICIAL, 0.0, 0.2, 0.0, pretraining, labels=False, official=True),
    }
    for name, cases in (("images", IMAGES), ("groups", GROUPS)):
        found |= {
            name: of(few_of_all, cases, 0.0, 0.0, 0.0, label_fraction=0.2),
            f"{name} set apart": of(few_of_all, cases, 0.4, 0.34, 0.3, label_count=4),
            f"{name} set apart, rest tested": of(few_of_all, cases, 0.5, 0.25, 0.0, label_fraction=0.5),
            f"{name} for pretraining": of(few_of_all, cases, 0.0, 0.2, 0.0, pretraining, labels=False),
            f"{name} for pretraining set apart": of(few_of_all, cases, 0.4, 0.15, 0.0, pretraining, labels=False),
            f"{name} for pretraining, all": of(few_of_all, cases, 0.4, 0.0, 0.0, pretraining, labels=False),
        }
    return found


@pytest.mark.parametrize("seed", range(20))
def test_memberships_are_those_of_before(seed):
    assert memberships(seed) == RECORDED[f"seed {seed}"]
