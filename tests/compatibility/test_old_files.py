"""Files that an earlier build wrote are read by this one; ``make_files.py`` wrote them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from segxfer3d.errors import InputError

from . import names
from .make_files import FINETUNED, PRETRAINED, STOPPED, cubes_hash, write_data
from .make_golden import as_named, differences, same_machine, weights_hash, weights_of

FILES = Path(__file__).with_name("files")
RECORD = json.loads((FILES / "record.json").read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The generated data that the old runs were made with."""
    folder = tmp_path_factory.mktemp("old")
    write_data(folder)
    return folder / "data"


@pytest.fixture
def copied(data, tmp_path, monkeypatch):
    """The old files, copied to the working directory, with their data."""
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [*PRETRAINED, *FINETUNED.values()])
def test_models_are_read(name):
    model = names.read_model(FILES / name / "model.pt")
    assert weights_hash(model["state_dict"]) == RECORD["weights"][name]["weights"]
    names.build_network(model["network"]).load_state_dict(model["state_dict"])
    assert model["provenance"]["job"] == name
    assert bool(model["classes"]) == (name in FINETUNED.values())
    assert model["preprocessing"]


def test_a_fine_tuned_model_gives_the_same_table(copied):
    names.run_bundle(
        names.BUNDLES / "evaluate.json", checkpoint="genesis_finetune/model.pt", dataset_dir="data/phantoms",
        output_dir="again", overlap=0.0, device="cpu", progress=False,
    )  # fmt: skip
    before, now = (json.loads((copied / f / "cases_summary.json").read_text()) for f in ("genesis_finetune", "again"))
    now = as_named(now)
    if same_machine(RECORD["machine"]):
        assert now == before
    assert now["genesis_dice"] == pytest.approx(before["genesis_dice"], rel=1e-3)
    assert now["dice"] == pytest.approx(before["dice"], abs=0.02)


@pytest.mark.parametrize("name", STOPPED)
def test_stopped_runs_go_on(name, copied):
    bundle, options = STOPPED[name]
    before = {path.name: path.read_bytes() for path in (copied / name).glob("*.json*")}
    names.run_bundle(names.BUNDLES / f"{bundle}.json", output_dir=name, resume=True, **options)
    expected, found = RECORD["weights"][name], weights_of(copied / name)
    if same_machine(RECORD["machine"]):
        assert found == expected
    assert found["weights_norm"] == pytest.approx(expected["weights_norm"], rel=2e-2)
    lines = (copied / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert lines[0] == before["metrics.jsonl"].decode().splitlines()[0]  # with its seconds: not trained again
    assert (copied / name / "run.json").read_bytes() == before["run.json"]
    for file in ("split.json", "labels.json"):
        if file in before:
            found = json.loads((copied / name / file).read_text(encoding="utf-8"))
            assert differences(json.loads(before[file]), found) == []


def test_a_stopped_pretraining_of_images_does_not_go_on_with_other_views(copied):
    """Schedule and interpolation of before are no defaults any more: they are asked for by name."""
    name = "stopped_reconstruction_pretrain"
    bundle, options = STOPPED[name]
    left = {key: value for key, value in options.items() if key not in ("schedule", "interpolation")}
    with pytest.raises(
        InputError, match="schedule warmup-cosine, not constant; interpolation antialiased, not bicubic"
    ):
        names.run_bundle(names.BUNDLES / f"{bundle}.json", output_dir=name, resume=True, **left)


def test_the_cube_store_is_read():
    store = names.CubeStore(FILES / "cubes")
    assert (len(store), tuple(store.size), len(store.patients)) == (6, (16, 16, 8), 3)
    assert cubes_hash(store) == RECORD["cubes"]


def test_splits_are_read():
    parts = names.recorded_split(FILES / "genesis_finetune")
    cases = [
        names.volume_case(f"{patient}-{scan}", patient, labeled=True)
        for patient in sorted({patient for part in parts.values() for patient in part})
        for scan in range(2)
    ]
    split = names.split_again("volumes", parts, cases)
    for part in names.PARTS:
        assert [case.name for case in getattr(split, part)] == [f"{p}-{scan}" for p in parts[part] for scan in range(2)]
    parts = names.recorded_split(FILES / "unet2d_finetune")
    cases = [names.image_case(name) for part in parts.values() for name in part][::-1]
    split = names.split_again("images", parts, cases)
    for part in names.PARTS:
        assert [case.name for case in getattr(split, part)] == parts[part]


def test_a_report_on_the_study_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    written = names.write_report(FILES / "study", tmp_path / "report.html")
    assert not written.problems
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "encoder" in text
    assert "random" in text
    with_pictures = sorted(path.parent for path in FILES.glob("study/*/*/previews.npz"))
    assert len(with_pictures) == 2
    assert all(names.read_previews(folder) for folder in with_pictures)
