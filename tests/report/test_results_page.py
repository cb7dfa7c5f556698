"""The sections of a page of results, from made-up studies."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from segxfer3d.cli.cross import fine_tuning, typed_knobs
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError
from segxfer3d.report.collect import collect
from segxfer3d.report.commands import run_command
from segxfer3d.report.page import write_report
from segxfer3d.report.results_page import write_results_page
from segxfer3d.study.keeping import keep
from tests.report.made_studies import write_json, write_run, write_study
from tests.report.test_recorded import with_parts


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "nodules"
    write_study(folder, budgets=(5,), previews=False)
    return folder


def test_a_section_is_written_anew_and_the_rest_stays(study, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Results\n\nIn words.\n", encoding="utf-8")
    assert write_results_page([study], page) == page
    first = page.read_text(encoding="utf-8")
    assert first.startswith("# Results\n\nIn words.\n")
    assert "### 5 labeled patients" in first
    assert "is better than random" in first
    assert "| encoder+decoder |" in first
    assert write_results_page([study], page) == page
    assert page.read_text(encoding="utf-8") == first
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert len(drawn) == 2
    assert all(f"]({name})" in first for name in drawn)


def test_a_study_that_transfers_nothing_is_not_asked_what_transfer_brings(tmp_path):
    write_study(tmp_path / "study", budgets=(5,), arms={"random": 0.08, "frozen-random": 0.0}, previews=False)
    path = tmp_path / "study/study.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["arms"]["frozen-random"]["pretrain"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    page = write_results_page([path.parent], tmp_path / "page.md").read_text(encoding="utf-8")
    assert "transferring the decoder" not in page
    assert "no other arm has a higher mean dice than random: frozen-random" in page
    html = write_report(path.parent, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert 'id="answer"' in html
    assert 'id="claims"' not in html


SHIPPED = "bundles/studies/channels_lgg.json"


@pytest.mark.parametrize(
    ("file", "about", "is_shipped"),
    [
        (shipped_folder() / "studies/channels_lgg.json", {}, True),
        ("/elsewhere/bundles/studies/channels_lgg.json", {"bundles": "/elsewhere/bundles"}, True),
        # of earlier versions
        (
            "/old/bundles/studies/channels_lgg.json",
            {"finetune": {"config": "/old/bundles/genesis_finetune.json"}},
            True,
        ),
        ("/home/studies/channels_lgg.json", {"bundles": "/elsewhere/bundles"}, False),
        ("/home/studies/channels_lgg.json", {"finetune": {"config": "/old/bundles/genesis_finetune.json"}}, False),
        ("/home/channels_lgg.json", {}, False),
        ("/elsewhere/bundles/studies/mine.json", {"bundles": "/elsewhere/bundles"}, False),
    ],
)
def test_the_command_says_what_was_set_by_hand(file, about, is_shipped, tmp_path):
    """The device is the shipped study's own default; a file of the user has its own."""
    write_study(tmp_path / "lgg", budgets=(5,), previews=False)
    path = tmp_path / "lgg" / "study.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    parameters = {"device": "cpu", "amp": True, "dataset_dir": "/data/LGG_MRI"}
    path.write_text(
        json.dumps(content | {"study_file": str(file), "parameters": parameters, **about}), encoding="utf-8"
    )
    page = write_results_page([path.parent], tmp_path / "page.md").read_text(encoding="utf-8")
    name = SHIPPED if is_shipped else Path(file).name
    assert f"`segxfer3d study run {name} --output lgg" in page
    assert " --set amp=true --set dataset_dir=LGG_MRI` and" in page
    assert ("--set device" in page) is not is_shipped


@pytest.mark.parametrize(
    ("file", "about", "is_shipped"),
    [
        (SHIPPED, {"bundles": "bundles"}, True),
        (SHIPPED, {}, True),
        ("./channels_lgg.json", {}, True),  # of earlier versions
        ("./channels_lgg.json", {"bundles": "bundles"}, False),
        ("./mine.json", {}, False),
    ],
)
def test_the_command_of_a_record(file, about, is_shipped, study, tmp_path):
    shutil.copytree(study, tmp_path / "lgg")
    with_parts(tmp_path / "lgg")
    keep(tmp_path / "lgg", tmp_path / "record")
    path = tmp_path / "record/study.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, content | {"study_file": file, "parameters": {"device": "cpu"}, **about})
    command = run_command(collect(tmp_path / "record"), "lgg")
    said = SHIPPED if is_shipped else Path(file).name
    assert command == f"segxfer3d study run {said} --output lgg" + ("" if is_shipped else " --set device=cpu")


def test_the_command_of_a_cross_validation_is_its_own(tmp_path):
    write_study(tmp_path / "five", budgets=(5,), arms={"random": 0.0}, seeds=1, previews=False)
    path = tmp_path / "five/study.json"
    config = str(fine_tuning("genesis_finetune").path)
    content = json.loads(path.read_text(encoding="utf-8")) | {
        "name": "cross-genesis_finetune", "study_file": str(path), "folds": 5, "seeds": [3],
        "finetune": {"config": config, "knobs": {"progress": False}},
        "common": {"dataset_dir": "/data/nodules", "patch_size": [16, 16, 8], "plan": str(tmp_path / "five/plan.json")},
        "arms": {"encoder": {"init": "encoder", "pretrain": None, "checkpoint": "/pre/model.pt", "knobs": {}}},
        "budgets": [{"name": "n5", "value": 5.0, "knobs": {"label_count": 5, "label_fraction": None}}],
    }  # fmt: skip
    write_json(path, content)
    page = write_results_page([path.parent], tmp_path / "page.md").read_text(encoding="utf-8")
    command = page.split("Made by `segxfer3d cross ")[1].split("`")[0]
    assert command == (
        "genesis_finetune --output_dir five --folds 5 --dataset_dir nodules --patch_size '[16, 16, 8]' "
        "--checkpoint model.pt --label_count 5 --seed 3"
    )
    name, _, _, *words = shlex.split(command)
    knobs = typed_knobs(words[2:], fine_tuning(name))  # what it takes back
    assert (knobs["patch_size"], knobs["label_count"], knobs["seed"]) == ([16, 16, 8], 5, 3)
    assert "study run" not in page


def test_no_command_is_made_up_where_no_study_file_is_known(tmp_path):
    write_run(tmp_path / "one/a")
    page = write_results_page([tmp_path / "one"], tmp_path / "page.md").read_text(encoding="utf-8")
    assert "\nMade by `segxfer3d results one -o " in page
    assert "study run" not in page


def test_settings_are_chosen_by_the_validation_part_alone(study, tmp_path):
    page = tmp_path / "page.md"
    write_results_page([study], page, validation=True)
    assert "Dice on the validation part" in page.read_text(encoding="utf-8")
    assert "interval" not in page.read_text(encoding="utf-8")


def test_several_studies_have_a_section_each(study, tmp_path):
    write_study(tmp_path / "other", budgets=(5,), seeds=1, previews=False)
    content = json.loads((tmp_path / "other/study.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "other/study.json", content | {"name": "other"})
    page = write_results_page([study, tmp_path / "other"], tmp_path / "page.md")
    text = page.read_text(encoding="utf-8")
    assert text.index("## lungs") < text.index("## other")
    assert "`segxfer3d results other -o " in text


def test_two_studies_of_one_name_are_refused(study, tmp_path):
    write_study(tmp_path / "other", budgets=(5,), seeds=1, previews=False)
    with pytest.raises(InputError, match=r"two studies are called lungs: .*; .*other; a page has one section"):
        write_results_page([study, tmp_path / "other"], tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_what_cannot_be_written_is_said(study, tmp_path):
    page = tmp_path / "page.md"
    with pytest.raises(InputError, match="no run in it"):
        write_results_page([tmp_path], page)
    write_run(tmp_path / "runs/a")
    (tmp_path / "runs/a/done.json").unlink()
    with pytest.raises(InputError, match="no fine-tuning is done"):
        write_results_page([tmp_path / "runs"], page)
    page.write_text("<!-- begin lungs -->\n", encoding="utf-8")
    with pytest.raises(InputError, match="without <!-- end lungs --> below it"):
        write_results_page([study], page)
    page.write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        write_results_page([study], page)
