"""Known security advisories of the versions in constraints.txt.

``python scripts/audit.py [--pip-audit PROGRAM]``

Asks pip-audit where that is given and can reach a service of advisories (OSV's, then PyPI's); the list in
.ci/advisories.json in any case. Ends with 1 where a version has an advisory that the list does not accept with a
reason. A list that nobody has looked through for a while is a warning: time alone breaks no build.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
OLD = 90  # days
SERVICES = ("osv", "pypi")
_SECONDS = 300  # that pip-audit may take


def pins(text: str) -> dict[str, Version]:
    """Package to version, of a file of constraints."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def listed(versions: Mapping[str, Version], advisories: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The advisories that one of the versions has."""
    return [
        advisory
        for advisory in advisories
        if (version := versions.get(canonicalize_name(advisory["package"]))) is not None
        and SpecifierSet(advisory["affected"]).contains(version, prereleases=True)
    ]


def answered(output: str) -> list[dict[str, Any]] | None:
    """What pip-audit found, as entries of the list; None where it could not ask for all packages."""
    try:
        found = json.loads(output)["dependencies"]
        if not found or any("skip_reason" in package for package in found):
            return None
        return [
            {"package": package["name"], "affected": f"=={package['version']}", "source": "pip-audit",
             "ids": [advisory["id"], *advisory.get("aliases", ())]}
            for package in found for advisory in package["vulns"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None


def ask(program: str, constraints: Path) -> list[dict[str, Any]] | None:
    """What pip-audit finds at the first service that can be reached; None where none can."""
    for service in SERVICES:
        words = [program, "-r", str(constraints), "--no-deps", "--disable-pip", "-s", service, "-f", "json"]
        try:
            done = subprocess.run(
                [*words, "--progress-spinner", "off", "--timeout", "15"],
                capture_output=True, text=True, check=False, timeout=_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = answered(done.stdout)
        if found is not None:
            print(f"audit: asked {service} about {constraints.name}")
            return found
    print("audit: no service of advisories can be reached")
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known; 1 where something is to be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pip-audit", help="the program, where it is installed")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--advisories", type=Path, default=ROOT / ".ci" / "advisories.json")
    options = parser.parse_args(arguments)
    known = json.loads(options.advisories.read_text(encoding="utf-8"))
    found = listed(pins(options.constraints.read_text(encoding="utf-8")), known["advisories"])
    accepted = {name: advisory for advisory in found if "accepted" in advisory for name in advisory["ids"]}
    for advisory in {id(advisory): advisory for advisory in accepted.values()}.values():
        print(f"audit: {advisory['package']}: {', '.join(advisory['ids'])}, accepted: {advisory['accepted']}")
    found = [advisory for advisory in found if "accepted" not in advisory]
    asked = ask(options.pip_audit, options.constraints) if options.pip_audit else None
    found += [advisory for advisory in asked or () if not accepted.keys() & set(advisory["ids"])]
    for advisory in found:
        print(f"audit: {advisory['package']}: {', '.join(advisory['ids'])} ({advisory['source']}): raise its version")
    days = (date.today() - date.fromisoformat(known["looked_through"])).days
    if asked is None and days > OLD:
        print(f"audit: warning: nobody has looked through {options.advisories.name} for {days} days")
    elif asked is None:
        print(f"audit: {len(known['advisories'])} advisories, looked through on {known['looked_through']}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
