"""Memory that is left: the least of what the machine and the process' control groups have."""

import math

import pytest

from segxfer3d.run import memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 GiB left, whose batch system gave this job 4 GiB."""
    (tmp_path / "meminfo").write_text(f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    (tmp_path / "own").write_text("1:name=systemd:/else\n0::/slurm/job\n")
    for group, most, current, cached in (("slurm", "max", 6, 0), ("slurm/job", str(4 * GIB), 3, 2)):
        folder = tmp_path / "groups" / group
        folder.mkdir(parents=True)
        (folder / "memory.max").write_text(most + "\n")
        (folder / "memory.current").write_text(f"{current * GIB}\n")
        (folder / "memory.stat").write_text(
            f"anon 1\ninactive_file {cached * GIB // 2}\nactive_file {cached * GIB // 2}\n"
        )
    for name, path in (("_MEMINFO", "meminfo"), ("_OWN_GROUP", "own"), ("_GROUPS", "groups")):
        monkeypatch.setattr(memory, name, tmp_path / path)
    return tmp_path


def test_a_batch_system_gives_less_than_the_machine_has(machine):
    assert memory.memory_left() == 3 * GIB  # 4, less what is taken, of which 2 are files


def test_the_group_above_may_have_less(machine):
    (machine / "groups" / "slurm" / "memory.max").write_text(str(7 * GIB))
    assert memory.memory_left() == 1 * GIB


def test_without_limits_it_is_the_machines(machine):
    (machine / "groups" / "slurm" / "job" / "memory.max").write_text("max\n")
    assert memory.memory_left() == 8 * GIB
    (machine / "own").unlink()
    assert memory.memory_left() == 8 * GIB


def test_a_system_that_does_not_say(machine):
    (machine / "groups" / "slurm" / "job" / "memory.max").unlink()
    (machine / "meminfo").write_text("nothing\n")
    assert memory.memory_left() == math.inf
