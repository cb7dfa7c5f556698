"""The page of all knobs is what the bundles and the table of knobs say."""

import json

from scripts import write_knobs
from segxfer3d.config.knobs import KNOBS


def test_the_page_is_up_to_date():
    assert write_knobs.main(["--check"]) == 0, "run python scripts/write_knobs.py"


def test_every_knob_of_every_bundle_has_its_row():
    text = write_knobs.page()
    for path in (write_knobs.ROOT / "bundles").glob("*.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if "knobs" not in config:
            continue
        part = text.split(f"\n## {path.stem}\n")[1].split("\n## ")[0]
        rows = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert set(rows) == set(config["knobs"]) - {"_target_"}, path
    assert set(KNOBS) <= set(text.replace("`", " ").split())  # no knob that no bundle has


def test_a_stale_page_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(write_knobs, "PAGE", tmp_path / "knobs.md")
    assert write_knobs.main(["--check"]) == 1
    assert write_knobs.main([]) == 0
    assert write_knobs.main(["--check"]) == 0
    (tmp_path / "knobs.md").write_text(write_knobs.page() + "more")
    assert write_knobs.main(["--check"]) == 1
    assert "not up to date; run python scripts/write_knobs.py" in capsys.readouterr().err
