"""Checkpoints that are none, or not of this package: refused, and no code in them runs."""

from pathlib import Path

import pytest
import torch

from tests.jobs.volume_sets import MARKS, TINY, image, refused

pytestmark = MARKS


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("code-from-a-checkpoint-ran"),)


def bad_checkpoint(kind, folder, models):
    path = folder / f"{kind}.pt"
    if kind == "text":
        path.write_text("hello")
    elif kind == "evil":
        torch.save({"state_dict": Evil()}, path)
    elif kind == "cut":
        path.write_bytes(Path(models["finetuned"]).read_bytes()[:5000])
    elif kind == "other":
        torch.save({"state_dict": {"x": torch.zeros(1)}}, path)
    elif kind == "version":
        torch.save({**torch.load(models["finetuned"], weights_only=True), "version": 99}, path)
    elif kind == "incomplete":
        content = torch.load(models["finetuned"], weights_only=True)
        del content["network"], content["provenance"]
        torch.save(content, path)
    elif kind == "folder":
        path.mkdir()
    return str(path)


CHECKPOINTS = {
    "missing": r"missing\.pt: no such file",
    "folder": r"folder\.pt: no such file",
    "text": r"text\.pt: (refused|not a checkpoint)",
    "evil": r"evil\.pt: refused, the file is not plain tensors",
    "cut": r"cut\.pt: not a checkpoint, or damaged",
    "other": r"other\.pt: (no Models Genesis 3D checkpoint|expected a segxfer3d-model)",
    "version": r"version\.pt: format version 99, expected 1",
    "incomplete": r"incomplete\.pt: .*network",
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
@pytest.mark.parametrize("bundle", ["genesis_finetune", "infer"])
def test_checkpoints_are_refused(bundle, kind, good, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = bad_checkpoint(kind, tmp_path, models)
    knobs = {"checkpoint": path, "progress": False, "device": "cpu"}
    knobs |= {"input": str(image(good))} if bundle == "infer" else {**TINY, "dataset_dir": str(good)}
    refused(bundle, tmp_path, CHECKPOINTS[kind], **knobs)
    assert not (tmp_path / "code-from-a-checkpoint-ran").exists()
