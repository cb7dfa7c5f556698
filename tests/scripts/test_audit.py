"""The audit of dependencies: what it finds in the list and in pip-audit's answer, and what it makes of them."""

import json
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import audit

ROOT = Path(__file__).parents[2]
TORCH = {"package": "Torch", "affected": "<2.6.0", "ids": ["CVE-1"], "source": "somewhere"}


@pytest.fixture
def check(tmp_path, capsys):
    def run(constraints, *advisories, looked_through=None, program=None):
        known = {"looked_through": str(looked_through or date.today()), "advisories": advisories}
        (tmp_path / "advisories.json").write_text(json.dumps(known))
        (tmp_path / "constraints.txt").write_text(constraints)
        words = ["--constraints", str(tmp_path / "constraints.txt"), "--advisories", str(tmp_path / "advisories.json")]
        if program is not None:
            (tmp_path / "pip-audit").write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(program)}\nEND\n")
            (tmp_path / "pip-audit").chmod(0o755)
            words += ["--pip-audit", str(tmp_path / "pip-audit")]
        status = audit.main(words)
        return status, capsys.readouterr().out

    return run


def test_the_tested_versions_have_no_advisory_that_is_not_accepted(capsys):
    assert audit.main([]) == 0
    known = json.loads((ROOT / ".ci" / "advisories.json").read_text(encoding="utf-8"))
    names = set(audit.pins((ROOT / "constraints.txt").read_text(encoding="utf-8")))
    assert {advisory["package"] for advisory in known["advisories"]} <= names
    assert "python-gdcm: CVE-2026-3650, accepted: No release has the fix" in capsys.readouterr().out


@pytest.mark.parametrize(("version", "status"), [("2.5.1", 1), ("2.6.0", 0), ("2.13.0+cpu", 0)])
def test_a_version_is_compared(version, status, check):
    found, text = check(f"# tested\ntorch=={version}  # on a CPU\nnumpy==2.0\n", TORCH)
    assert (found, "torch: CVE-1 (somewhere): raise its version" in text.lower().replace("cve", "CVE")) == (
        status,
        status,
    )


def test_an_accepted_one_is_named_with_its_reason(check):
    status, text = check("torch==2.5.1\n", {**TORCH, "accepted": "Nothing here loads it."})
    assert status == 0
    assert "Torch: CVE-1, accepted: Nothing here loads it." in text


def test_an_old_list_is_a_warning(check):
    status, text = check("torch==2.6.0\n", TORCH, looked_through=date.today() - timedelta(days=100))
    assert status == 0
    assert "warning: nobody has looked through advisories.json for 100 days" in text


def test_pip_audit_says_more(check):
    torch = {"name": "torch", "version": "2.6.0", "vulns": [{"id": "PYSEC-9", "aliases": ["CVE-9"]}]}
    status, text = check("torch==2.6.0\n", TORCH, program={"dependencies": [torch]})
    assert status == 1
    assert "asked osv" in text
    assert "torch: PYSEC-9, CVE-9 (pip-audit)" in text
    accepted = {**TORCH, "affected": ">=2.6.0", "ids": ["CVE-9"], "accepted": "Not reached."}
    assert check("torch==2.6.0\n", accepted, program={"dependencies": [torch]})[0] == 0


@pytest.mark.parametrize(
    "answer", ["no JSON", {"dependencies": []}, {"dependencies": [{"name": "torch", "skip_reason": "not found"}]}]
)
def test_without_a_service_the_list_is_asked(answer, check):
    status, text = check("torch==2.6.0\n", TORCH, program=answer)
    assert status == 0
    assert "no service of advisories can be reached" in text
    assert "1 advisories, looked through on" in text
