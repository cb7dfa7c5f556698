"""Study and search files: by path or by the name of a shipped one, in JSON or YAML, from any folder."""

import json
from pathlib import Path

import pytest
import yaml

from segxfer3d.errors import InputError
from segxfer3d.study import trust
from segxfer3d.study.code import parse_config
from segxfer3d.study.documents import parse_yaml
from segxfer3d.study.grid import expand
from segxfer3d.study.search_file import read_search
from segxfer3d.study.study_file import read_study
from tests.study.studies import BUNDLES, content, write


def test_shipped_ones_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # no study, but what one was written to
    assert read_study(Path("demo")).name == "demo"
    assert read_search(Path("pretraining")).bundle.name == "genesis_pretrain"
    expected = r"study dmeo: no such file, and none of that name is shipped; did you mean demo\?"
    with pytest.raises(InputError, match=expected):
        read_study(Path("dmeo"))


def test_bundles_are_found_beside_the_study_then_above_then_shipped(tmp_path):
    stage = {"config": "genesis_finetune", "knobs": content()["finetune"]["knobs"]}
    names = {"finetune": stage, "pretrain": {}, "arms": {"a": {"init": "random"}, "b": {"init": "frozen-random"}}}
    file = write(tmp_path / "studies", **names)
    assert read_study(file).finetune.bundle.path == BUNDLES / "genesis_finetune.json"
    config = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
    (tmp_path / "genesis_finetune.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="nor in the folder of the file"):
        read_study(file)
    with trust.everything():
        above = read_study(file)
    assert above.finetune.bundle.path == tmp_path / "genesis_finetune.yaml"
    assert above.finetune.bundle.config == config == parse_config(BUNDLES / "genesis_finetune.json")
    (tmp_path / "studies" / "genesis_finetune.json").write_text(json.dumps(config))
    assert read_study(file).finetune.bundle.path.parent == tmp_path / "studies"
    assert expand(read_study(file))[0].identity == expand(above)[0].identity
    (tmp_path / "studies" / "genesis_finetune.json").write_text("{}")
    with pytest.raises(InputError, match="is no bundle with knobs"):
        read_study(file)


def test_a_study_in_yaml_is_the_one_in_json(tmp_path):
    in_json = write(tmp_path, common={"width": 4}, seeds=[0])
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(json.loads(in_json.read_text(encoding="utf-8")), sort_keys=False))
    assert [trial.identity for trial in expand(read_study(path))] == [t.identity for t in expand(read_study(in_json))]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("width: 4", "width: 4\n  lr: 1e-3\n  weight_decay: '1e-5'", 1))
    common = read_study(path).common
    assert (common["lr"], common["weight_decay"]) == (1e-3, 1e-5)


def test_yaml_says_what_json_would():
    text = "a: 1e-3\nb: no\nc: 012\nd: [1, -2.5, .5, true, null, ~, 2024-11-28]\n1: 'x'\nno: {on: off}\n"
    assert parse_yaml(text) == {
        "a": 1e-3, "b": "no", "c": "012", "d": [1, -2.5, 0.5, True, None, None, "2024-11-28"], "1": "x",
        "no": {"on": "off"},
    }  # fmt: skip
    with pytest.raises(ValueError, match="mapping values"):
        parse_yaml("a: b: c")
    with pytest.raises(ValueError, match="could not determine a constructor"):
        parse_yaml("a: !!python/object/apply:os.system [ls]")
