import json
import resource
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from segxfer3d import cli
from segxfer3d.cli.study import resources_of
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.networks import conrec_unet, genesis_unet, imagenet_unet
from segxfer3d.study import runner
from segxfer3d.weights import checkpoint
from segxfer3d.weights.formats.genesis import module_map
from tests.study.studies import ROOT, fake, plan, write


def call(*words):
    """Run the command in this process; gives exit status, output and errors."""
    result = CliRunner().invoke(cli.cli, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, (SystemExit, cli.InputError)):
        raise result.exception
    return result.exit_code, result.output + str(result.exception if result.exit_code else "")


@pytest.mark.parametrize(
    "words", [("nope",), ("check",), ("check", "--nope", "."), ("study", "run", "x", "--jobs", "y")]
)
def test_words_that_are_not_known_end_as_other_bad_input_does(words):
    status, said = call(*words)
    assert (status, "Usage: " in said) == (1, True)


@pytest.fixture
def fakes(monkeypatch):
    """Trainings are fake ones; the dictionary says which fail."""
    modes = {}
    run = runner.run

    def run_fake(trials, folder, resources, say, launch=None, only=None, processes=None):
        return run(trials, folder, resources, say, fake(**modes), only)

    monkeypatch.setattr(runner, "run", run_fake)
    return modes


def test_help_is_quick_and_imports_nothing_heavy():
    code = """
import sys
from segxfer3d import cli
from segxfer3d.cli.study import resources_of
try:
    cli.cli(["--help"])
except SystemExit:
    heavy = [m for m in ("torch", "monai", "numpy", "scipy", "segxfer3d.study") if m in sys.modules]
    print("heavy", heavy)
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "heavy []" in shown
    assert "weights  Say what a checkpoint holds" in shown
    # of the processor's time: how long it takes on the wall is up to what else runs
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_running_a_study_imports_no_torch():
    code = "import sys, segxfer3d.study.runner, segxfer3d.study.study_file, segxfer3d.study.estimate; "
    code += "print([m for m in ('torch', 'monai', 'scipy') if m in sys.modules])"
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout == ("[]\n")


def test_bad_input_is_one_line_and_no_trace(tmp_path):
    words = [
        sys.executable,
        "-m",
        "segxfer3d.cli",
        "study",
        "run",
        str(tmp_path / "no.json"),
        "-o",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: study ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


def test_a_study_is_listed_run_and_looked_at(tmp_path, fakes):
    file, folder = write(tmp_path), tmp_path / "out"
    status, said = call("study", "run", file, "-o", folder, "--dry-run", "--no-timing")
    assert status == 0
    assert "shared by 2 fine-tunings" in said
    assert "5 trials: 5 waiting" in said
    assert not folder.exists()
    fakes["random-n2-s1"] = "fail"
    status, said = call("study", "run", file, "-o", folder, "--jobs", 2)
    assert status == 1
    assert "5 trials: 4 done, 1 failed" in said
    assert json.loads((folder / "study.json").read_text(encoding="utf-8"))["name"] == "small"
    status, said = call("study", "status", folder)
    assert status == 1
    assert "failed finetune-data-random-n2-s1: loss is NaN in epoch 3" in said
    fakes.clear()
    assert call("study", "run", file, "-o", folder)[0] == 0
    status, said = call("study", "status", folder, "--all")
    assert status == 0
    assert said.count("done ") == 5
    status, said = call("study", "run", file, "-o", folder, "--dry-run")
    assert "estimated time: 0 s" in said


def test_workflow_managers_prepare_and_run_single_trials(tmp_path, fakes):
    file, folder = write(tmp_path), tmp_path / "out"
    status, said = call("study", "prepare", file, "-o", folder)
    assert status == 0
    assert said.splitlines() == [
        "float32 in all trainings of which nothing else is said: SEGXFER3D_AMP says so",
        f"5 trials in {folder}/trials.json",
    ]
    entries = json.loads((folder / "trials.json").read_text(encoding="utf-8"))
    assert {entry["knobs"]["amp"] for entry in entries} == {False}
    assert json.loads((folder / "precision.json").read_text(encoding="utf-8"))["amp"] is False
    trials = [entry["id"] for entry in json.loads((folder / "trials.json").read_text(encoding="utf-8"))]
    status, said = call("study", "trial", folder, trials[2])
    assert (status, "which is waiting" in said) == (1, True)
    assert call("study", "trial", folder, trials[0])[0] == 0
    fakes["finetune"] = "fail"
    status, said = call("study", "trial", folder, trials[2])
    assert (status, "failed: loss is NaN" in said) == (1, True)


def test_a_study_goes_on_from_its_record_on_another_machine(tmp_path, fakes):
    file, folder, record = write(tmp_path), tmp_path / "out", tmp_path / "record"
    assert call("study", "run", file, "-o", folder)[0] == 0
    status, said = call("study", "keep", folder, record)
    assert (status, f"5 trials recorded, 0 were: {record} (0.0" in said) == (0, True)
    status, said = call("study", "run", file, "-o", tmp_path / "there", "--done", record, "--dry-run", "--no-timing")
    assert f"recorded: 5 of 5 trials in {record}" in said
    assert "5 trials: 5 recorded" in said
    assert not (tmp_path / "there").exists()
    write(tmp_path, seeds=[0, 1, 2])
    status, said = call("study", "run", file, "-o", tmp_path / "there", "--done", record, "--dry-run", "--no-timing")
    assert "shared by 3 fine-tunings, recorded without its weights: made again" in said
    assert "7 trials: 3 waiting, 4 recorded" in said
    assert call("study", "prepare", file, "-o", tmp_path / "there", "--done", record)[0] == 0
    assert call("study", "run", file, "-o", tmp_path / "there")[0] == 0
    status, said = call("study", "status", tmp_path / "there")
    assert (status, "7 trials: 3 done, 4 recorded" in said) == (0, True)
    (record / "finetune/data-random-n2-s0/cases.csv.gz").write_bytes(b"")
    status, said = call("study", "run", file, "-o", tmp_path / "other", "--done", record)
    assert (status, "1 record is not as it was kept" in said) == (1, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "width"], "expected NAME=VALUE"),
        (["--set", "breadth=3"], "no such parameter"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)
def test_bad_options_are_refused(tmp_path, words, message):
    status, said = call("study", "run", write(tmp_path), "-o", tmp_path / "out", *words)
    assert status != 0
    assert message in said


def test_two_studies_in_one_folder_are_refused(tmp_path, fakes):
    file, folder = write(tmp_path), tmp_path / "out"
    with runner.study_lock(folder):
        status, said = call("study", "run", file, "-o", folder)
    assert (status, "another study is being run" in said) == (1, True)
    assert call("study", "run", file, "-o", folder)[0] == 0
    other = write(tmp_path / "b", name="other")
    status, said = call("study", "run", other, "-o", folder)
    assert (status, "holds the study small, not other" in said) == (1, True)


def test_check_looks_over_volumes(tmp_path):
    rng = np.random.default_rng(0)
    label = np.zeros((16, 16, 8), np.uint8)
    label[4:8, 4:8, 2:4] = 1
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    for name in ("LIDC-IDRI-0001_1", "LIDC-IDRI-0001_2", "LIDC-IDRI-0002_1"):
        image = rng.integers(-1000, 400, label.shape).astype(np.int16)
        for folder, array in (("imagesTr", image), ("labelsTr", label)):
            nibabel.save(nibabel.Nifti1Image(array, np.diag([0.7, 0.7, 2, 1])), tmp_path / folder / f"{name}.nii.gz")
    status, said = call("check", tmp_path)
    assert status == 0
    for words in (
        "cases: 3 of 2 patients, 3 labeled", "voxels: median 16 x 16 x 8", "spacing in mm: median 0.7 x 0.7 x 2",
        "intensities", "foreground share of foreground (1): 1.562 %", "no problems",
    ):  # fmt: skip
        assert words in said
    path = tmp_path / "imagesTr" / "LIDC-IDRI-0001_1.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    status, said = call("check", tmp_path)
    assert status == 1
    assert "1 cannot be used:" in said
    assert path.name in said


def test_check_looks_over_images(tmp_path):
    folder = write_images(tmp_path, count=9)
    status, said = call("check", folder)
    assert status == 0
    assert "cases: 9 of 9" in said
    assert "9 with a mask" in said
    assert "height and width in pixels: median 96 x 96" in said
    mask = next((folder / "masks").rglob("*.png"))
    mask.write_bytes(b"no image")
    status, said = call("check", folder)
    assert (status, mask.name in said) == (1, True)
    status, said = call("check", tmp_path / "nowhere")
    assert (status, "no such folder" in said) == (1, True)


def test_weights_says_what_a_checkpoint_holds(tmp_path):
    network = conrec_unet(3, 1, width=2)
    path = tmp_path / "model.pt"
    checkpoint.write_model(
        path, network.state_dict(), network.definition, {"size": 64}, {1: "horse"},
        {"job": "simclr_pretrain", "trained_parts": ["encoder"], "patients": [f"p{i}" for i in range(20)]},
    )  # fmt: skip
    status, said = call("weights", path)
    assert status == 0
    values = sum(t.numel() for t in network.encoder.state_dict().values())
    assert f"encoder: {len(network.encoder.state_dict())} tensors, {values:,} values" in said
    assert "decoder" in said.split("not trained by the pretext")[0]
    assert "1: horse" in said
    assert "patients: 20: p0, p1, p2, ..." in said
    torch.save({"a": np.zeros(3).tolist()}, path)
    status, said = call("weights", path)
    assert (status, "expected a model.pt of a run" in said) == (1, True)
    status, said = call("weights", tmp_path / "nothing.pt")
    assert (status, "no such file" in said) == (1, True)


def test_weights_knows_published_files(tmp_path):
    resnet = {
        key.removeprefix("encoder.resnet."): tensor
        for key, tensor in imagenet_unet("resnet18").state_dict().items()
        if key.startswith("encoder.resnet.")
    }
    torch.save(resnet, tmp_path / "resnet.pth")
    status, said = call("weights", tmp_path / "resnet.pth")
    assert (status, "--backbone resnet18" in said) == (0, True)
    theirs = {ours: name for name, ours in module_map().items()}
    state = {}
    for key, tensor in genesis_unet(batch_statistics=True).state_dict().items():
        module, _, leaf = key.rpartition(".")
        state[f"module.{theirs[module]}.{leaf}"] = tensor
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "genesis.pt")
    status, said = call("weights", tmp_path / "genesis.pt")
    assert (status, "published Models Genesis" in said) == (0, True)


@pytest.mark.slow
def test_a_real_study_of_two_trainings(tmp_path):
    knobs = {"width": 2, "patch_size": [16, 16, 8], "max_epochs": 2, "steps_per_epoch": 2, "phantom_patients": 8,
             "device": "cpu"}  # fmt: skip
    arms = {"random": {"init": "random"}, "frozen": {"init": "frozen-random"}}
    changes = {"common": knobs, "pretrain": {}, "arms": arms, "seeds": [0]}
    folder = tmp_path / "out"
    words = [sys.executable, "-m", "segxfer3d.cli", "study", "run", write(tmp_path, **changes), "-o", folder]
    listed = subprocess.run([*words, "--dry-run"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "estimated time: " in listed
    done = subprocess.run([*words, "-j", "2"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    _, trials = plan(tmp_path, **changes)
    for trial in trials:
        run = json.loads((folder / trial.folder / "run.json").read_text(encoding="utf-8"))
        assert run["knobs"]["label_count"] == 2
        assert (folder / trial.folder / "cases.csv").is_file()


@pytest.mark.parametrize(
    ("said", "asked", "threads"), [("3", None, 3), ("3,2", None, 3), ("3", 5, 5), ("", None, 2), ("many", None, 2)]
)
def test_trainings_have_the_threads_that_the_user_or_the_environment_says(monkeypatch, said, asked, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    environment = resources_of(2, asked, None, share_gpus=False).environment()
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == str(threads)
