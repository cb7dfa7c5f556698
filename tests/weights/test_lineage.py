"""What a model notes of the checkpoint that it started from, and of all before it."""

import torch

from segxfer3d.networks import genesis_unet
from segxfer3d.weights import checkpoint
from segxfer3d.weights.lineage import in_words, start_of, together

FIRST = {"job": "moco_pretrain", "init": "", "pretext": "MoCo", "data": "set", "cases": 8, "contents": ["1a"]}
SECOND = {"job": "genesis_finetune", "init": "encoder", "data": "others", "cases": 3, "patients": ["p1"]}


def write(path, **provenance):
    network = genesis_unet(width=2)
    checkpoint.write_model(path, network.state_dict(), network.definition, {"spacing": None}, {}, provenance)
    return path


def test_a_start_brings_its_own_along(tmp_path):
    private = {"seed": 3, "patch_size": [16, 16, 16], "seen": {"values": [0, 1]}}
    path = write(tmp_path / "a.pt", **SECOND, **private, started_from=[FIRST])
    assert start_of(path) == [SECOND, FIRST]
    again = write(tmp_path / "b.pt", **SECOND, started_from=[SECOND, FIRST])
    assert start_of(again) == [SECOND, FIRST]  # a chain on the same cases does not grow


def test_a_checkpoint_from_elsewhere_brings_nothing(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "published.pt")
    assert start_of(tmp_path / "published.pt") == []


def test_a_chain_on_one_line():
    chain = "genesis_finetune of others (3 cases with masks, init encoder)"
    first = "moco_pretrain of set (8 cases without masks)"
    assert in_words({"init": "whole", "started_from": [SECOND, FIRST]}) == f"{chain} <- {first}"
    unknown = "a checkpoint whose training is not noted"
    assert in_words({"init": "whole", "started_from": [SECOND]}) == f"{chain} <- {unknown}"
    assert in_words({"init": "encoder"}) == unknown  # by an earlier version, or from elsewhere
    assert [in_words({"init": init}) for init in ("", "random", "frozen-random")] == ["", "", ""]
    assert in_words({}) == ""


def test_the_starts_of_several_models():
    assert together([{"started_from": [SECOND, FIRST]}, {}, {"started_from": [FIRST]}]) == [SECOND, FIRST]
