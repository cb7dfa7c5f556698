"""The check of a device runs, here on a processor, within its time, and its page says what was measured."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import gpu_check


def test_it_measures_a_processor_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "NETWORKS", ("plain_unet",))
    gpu_check.main(["--tiny", "--device", "cpu", "--page", str(tmp_path / "gpu.md")])
    content = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    parts = [(row["what"], row["how"]) for row in content["rows"]]
    assert parts[0] == ("matrix product", "float32")
    assert ("whole CT to a mask", "bf16") in parts
    assert parts[-1] == ("step of plain_unet", "bf16, channels last")
    for row in content["rows"]:
        assert "left out" not in row
        assert row["seconds"] > 0
        assert row["peak_gib"] > 0
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8").splitlines()
    assert page[0] == "# Speed of gpu_check.py on a processor: these are no figures of a GPU"
    assert sum(line.startswith("| ") for line in page) == 2 + len(parts)


def test_without_time_nothing_begins_and_a_failure_is_named(tmp_path, monkeypatch, capsys):
    gpu_check.main(["--tiny", "--device", "cpu", "--minutes", "0", "--page", str(tmp_path / "gpu.md")])
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert {row["left out"] for row in rows} == {"no time left"}
    assert "| step of resenc_unet | bf16 | no time left |" in (tmp_path / "gpu.md").read_text(encoding="utf-8")

    def fail(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate\nmore")

    monkeypatch.setattr(gpu_check.Check, "_steps", fail)
    monkeypatch.setattr(gpu_check.Check, "_whole", fail)
    gpu_check.main(["--tiny", "--device", "cpu"])
    assert '"left out": "CUDA out of memory. Tried to allocate"' in capsys.readouterr().out
