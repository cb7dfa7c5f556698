"""The record of a study: what is kept, that it is small, repeats, names no machine, and shows when it was edited."""

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile

import pytest

from segxfer3d.errors import InputError
from segxfer3d.evaluation.precision_check import PrecisionCheck
from segxfer3d.study import grid
from segxfer3d.study.keeping import keep
from segxfer3d.study.machine_paths import Cleaner, bundle_folders
from segxfer3d.study.records import is_record, packed, read_records, weights_hash
from segxfer3d.study.runner import Resources, run
from tests.study.studies import BUNDLES, fake, plan, ran
from tests.study.studies import content as content_of_study

RANDOM = "finetune/data-random-n2-s0"


@pytest.fixture
def kept(tmp_path):
    keep(ran(tmp_path), tmp_path / "record")
    return tmp_path / "record"


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_record_holds_the_tables_the_hashes_and_no_weights(kept):
    assert is_record(kept)
    records = {record.folder: record for record in read_records(kept)}
    assert len(records) == 5
    record = records[RANDOM]
    assert record.texts["cases.csv"] == "case,patient,dice\na,a,0.5\n"
    assert json.loads(gzip.decompress((kept / RANDOM / "run.json.gz").read_bytes()))["done.json"] == {"seconds": 1.0}
    assert record.entry["start"] is None
    encoder, pretraining = records["finetune/data-encoder-n2-s0"], next(iter(records.values()))
    assert encoder.entry["start"]["model"] == pretraining.entry["model"] == hashlib.sha256(b"weights").hexdigest()
    assert encoder.entry["start"]["identity"] == pretraining.entry["identity"]
    assert sorted(path.name for path in (kept / RANDOM).iterdir()) == [
        "cases.csv.gz", "metrics.jsonl.gz", "record.json", "run.json.gz",
    ]  # fmt: skip


def test_what_a_run_found_of_its_precision_is_kept_beside_what_its_study_chose(tmp_path):
    folder = ran(tmp_path)
    found = PrecisionCheck(4, 0.89, 0.88).as_dict()
    (folder / RANDOM / "precision.json").write_text(json.dumps(found))
    (folder / "precision.json").write_text(json.dumps({"amp": True}))
    keep(folder, tmp_path / "record")
    texts = {record.folder: record.texts for record in read_records(tmp_path / "record")}
    assert json.loads(texts[RANDOM]["precision.json"]) == found


@pytest.mark.parametrize("version", ["today's", "earlier"])
def test_shipped_bundles_are_known_as_such_when_a_study_is_kept_from_another_checkout(version, tmp_path, monkeypatch):
    folder = ran(tmp_path)
    monkeypatch.setattr("segxfer3d.study.machine_paths.shipped_folder", lambda: tmp_path / "another" / "bundles")
    if version == "earlier":  # its study.json does not say where they were; the checkout is still there
        study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        (folder / "study.json").write_text(json.dumps({key: study[key] for key in study if key != "bundles"}))
    keep(folder, tmp_path / "record")
    entries = [record.entry for record in read_records(tmp_path / "record")]
    assert {entry["config"] for entry in entries} == {"bundles/genesis_pretrain.json", "bundles/genesis_finetune.json"}
    assert {entry["start"]["config"] for entry in entries if entry["start"]} == {"bundles/genesis_pretrain.json"}


def test_a_bundle_of_ones_own_is_none_that_is_shipped_whatever_it_is_called(tmp_path):
    copy = tmp_path / "file" / "bundles" / "genesis_finetune.json"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((BUNDLES / "genesis_finetune.json").read_bytes())
    finetune = content_of_study()["finetune"]
    keep(ran(tmp_path, finetune={**finetune, "config": str(copy)}), tmp_path / "record")
    entries = [record.entry for record in read_records(tmp_path / "record")]
    assert {entry["config"] for entry in entries} == {"bundles/genesis_pretrain.json", "./genesis_finetune.json"}


def test_bundles_of_an_installation_that_is_gone_are_known_by_their_folder():
    gone = "/venv/lib/segxfer3d/_bundles"
    assert bundle_folders({}, [f"{gone}/infer.json", "/mine/bundles/infer.json"]) == {gone}
    assert bundle_folders({"bundles": "/gone/bundles"}, [f"{gone}/infer.json"]) == {"/gone/bundles"}
    assert bundle_folders({"bundles": 5}, []) == frozenset()


def test_the_same_runs_make_the_same_bytes_and_name_no_machine(kept, tmp_path):
    before = content(kept)
    again = keep(tmp_path / "study", kept)
    assert (again.new, again.there, again.lacking) == (0, 5, 0)
    keep(tmp_path / "study", tmp_path / "other")
    assert content(tmp_path / "other") == content(kept) == before
    opened = [gzip.decompress(text) if name.endswith(".gz") else text for name, text in before.items()]
    assert not any(str(tmp_path).encode() in text for text in opened)
    assert not is_record(tmp_path / "study")
    assert not is_record(tmp_path)


def test_a_record_grows(kept, tmp_path):
    folder = ran(tmp_path / "more", seeds=[0, 1, 2])
    grown = keep(folder, kept)
    assert (grown.new, grown.there, grown.lacking) == (2, 5, 0)
    assert len(read_records(kept)) == 7
    assert json.loads((kept / "study.json").read_text(encoding="utf-8"))["seeds"] == [0, 1, 2]
    assert grown.size < 50_000


def test_the_writing_of_a_record_may_be_stopped_and_goes_on(kept, tmp_path):
    (kept / "study.json").unlink()
    (kept / "finetune/data-random-n2-s1").rename(kept / "finetune/.part-0123")
    before = len(content(kept))
    assert keep(tmp_path / "study", kept).new == 1
    assert len(read_records(kept)) == 5
    assert len(content(kept)) == before + 5


def test_what_is_not_done_is_not_kept(tmp_path):
    study, trials = plan(tmp_path / "file")
    folder = tmp_path / "study"
    folder.mkdir()
    grid.write(study, trials, folder)
    with pytest.raises(InputError, match="no trial is done"):
        keep(folder, tmp_path / "record")
    run(trials, folder, Resources(), lambda _: None, fake(random="fail"))
    assert keep(folder, tmp_path / "record").lacking == 2
    assert {record.entry["arm"] for record in read_records(tmp_path / "record")} == {None, "encoder"}


def test_records_of_others_are_not_written_over(kept, tmp_path):
    study = tmp_path / "study"
    (study / RANDOM / "cases.csv").write_text("case,patient,dice\na,a,0.6\n")
    before = content(kept)
    with pytest.raises(InputError, match=f"holds other results of {RANDOM}; delete these there"):
        keep(study, kept)
    with pytest.raises(InputError, match="holds the record of the study small, not of large"):
        keep(ran(tmp_path / "large", name="large"), kept)
    for place in (tmp_path / "file", study, tmp_path):
        with pytest.raises(InputError, match="holds something else than a record"):
            keep(study, place)
    assert content(kept) == before


def with_lr(lr):
    knobs = {"lr": lr}
    return {name: {**arm, "knobs": knobs} for name, arm in content_of_study()["arms"].items()}


STAGE = content_of_study()["pretrain"]["genesis"]


@pytest.mark.parametrize(
    ("changes", "number", "message"),
    [
        ({"arms": with_lr(0.5)}, 4, "data-random-n2-s0: was recorded with lr 0.1, not 0.5"),
        # of seeds that are not there, and no others
        ({"arms": with_lr(0.5), "seeds": [2]}, 2, "data-random-n2-s0: was recorded with lr 0.1, not 0.5"),
        ({"pretrain": {"genesis": {**STAGE, "knobs": {**STAGE["knobs"], "max_epochs": 3}}}, "seeds": [2]}, 1,
         r"data-encoder-n2-s0: was recorded with another pretraining \(max_epochs 2, not 3\)"),
    ],
)  # fmt: skip
def test_trainings_of_other_options_are_not_kept_together(changes, number, message, tmp_path):
    keep(ran(tmp_path, arms=with_lr(0.1)), tmp_path / "record")
    before = content(tmp_path / "record")
    other = ran(tmp_path / "other", **{"arms": with_lr(0.1), **changes})
    with pytest.raises(InputError, match=f"record: {number} records? (is|are) of (an)?other training") as caught:
        keep(other, tmp_path / "record")
    assert caught.match(message)
    assert content(tmp_path / "record") == before


@pytest.mark.parametrize("machine_of", ["all", "s1", "encoder"])
def test_what_another_machine_chose_is_named(machine_of, tmp_path):
    folder = ran(tmp_path)
    for path in folder.glob("*/*/run.json"):
        amp = machine_of == "all" or machine_of in path.parent.name
        path.write_text(json.dumps({"job": "fake", "knobs": {"amp": amp, "seed": 0, "noise": 0.5}}))
    said = keep(folder, tmp_path / "record").sentence()
    other = {
        "all": [],
        "s1": ["data-random-n2-s1: amp True, not False", "data-encoder-n2-s1: amp True, not False"],
        "encoder": ["data-encoder-n2-s0: amp True, not False", "data-encoder-n2-s1: amp True, not False"],
    }[machine_of]
    assert said.count("warning") == bool(other)
    assert [part for part in other if f"finetune/{part} as in finetune/data-random-n2-s0" not in said] == []
    assert said.count("amp") == len(other)


def test_a_precision_that_an_arm_sets_is_its_own(tmp_path):
    arms = content_of_study()["arms"]
    folder = ran(tmp_path, arms={**arms, "encoder": {**arms["encoder"], "knobs": {"amp": True}}})
    for path in folder.glob("*/*/run.json"):
        path.write_text(json.dumps({"job": "fake", "knobs": {"amp": "encoder" in path.parent.name}}))
    assert "warning" not in keep(folder, tmp_path / "record").sentence()


def edit(path, before, after):
    if path.suffix == ".gz":
        text = gzip.decompress(path.read_bytes()).decode()
        assert before in text
        path.write_bytes(packed(text.replace(before, after)))
    else:
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("cases.csv.gz", "0.5", "0.9", r"cases.csv was edited \(its hash is [0-9a-f]{8}, not [0-9a-f]{8}\)"),
        ("metrics.jsonl.gz", '"loss": 1.0', '"loss": 0.1', "metrics.jsonl was edited"),
        ("run.json.gz", '"seconds": 1.0', '"seconds": 2.0', "done.json was edited"),
        ("record.json", '"init": "random"', '"init": "encoder"', "record.json was edited"),
        ("record.json", '"format"', "format", r"is not JSON \(Expecting property name"),
    ],
)
def test_an_edited_record_is_refused(kept, name, before, after, message):
    edit(kept / RANDOM / name, before, after)
    with pytest.raises(InputError, match="1 record is not as it was kept") as caught:
        read_records(kept)
    assert caught.match(f"{RANDOM}: {message}")


def test_a_record_in_the_wrong_place_or_without_a_file_is_refused(kept):
    (kept / RANDOM).rename(kept / "finetune/data-random-n5-s0")
    (kept / "finetune/data-random-n2-s1/cases.csv.gz").unlink()
    with pytest.raises(InputError) as caught:
        read_records(kept)
    assert "2 records" in str(caught.value)
    assert f"finetune/data-random-n5-s0: is the record of {RANDOM}" in str(caught.value)
    assert "No such file" in str(caught.value)


def test_a_hash_of_weights_is_of_tensors_alone(tmp_path):
    code = (
        "import sys, torch; w = torch.arange(6.0)\n"
        "for file, note, add in zip(*[iter(sys.argv[1:])] * 3):\n"
        "    torch.save({'note': note, 'weights': {'a': w + float(add), 'b': w[:2].clone()}}, file)"
    )
    files = [("a.pt", "/data/x", "0"), ("b.pt", "elsewhere, later", "0"), ("c.pt", "/data/x", "1e-7")]
    words = [word for name, note, add in files for word in (str(tmp_path / name), note, add)]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    a, b, c = (weights_hash(tmp_path / name) for name in ("a.pt", "b.pt", "c.pt"))
    assert a == b != c
    with zipfile.ZipFile(tmp_path / "d.pt", "w") as archive:
        archive.writestr("x/data/no-number", b"")
    with pytest.raises(InputError, match="weights cannot be read"):
        weights_hash(tmp_path / "d.pt")


def test_paths_of_the_machine_are_taken_out_wherever_they_stand(tmp_path):
    clean = Cleaner(tmp_path / "runs/a", ["/data/lungs", "/data/lungs/more", "relative"])
    assert clean.value({
        "dataset_dir": "/data/lungs",
        "deep": ["/data/lungs/more", {f"{tmp_path}/runs/a/pretrain/x/model.pt": 1}],
        "said": "/data/lungs/c.nii: damaged, /data/lungs2 not",
        "unknown": "/home/me/thing.json",
        "plain": "a/b",
        "slash": "/",
    }) == {
        "dataset_dir": "./lungs",
        "deep": ["./more", {"pretrain/x/model.pt": 1}],
        "said": "./lungs/c.nii: damaged, /data/lungs2 not",
        "unknown": "./thing.json",
        "plain": "a/b",
        "slash": "/",
    }  # fmt: skip
