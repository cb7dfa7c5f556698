"""Fingerprints of data sets that nnU-Net's published plans are known for, and of small ones."""

from __future__ import annotations

from segxfer3d.data.planning.fingerprint import Fingerprint, Foreground

# the facts of Task04_Hippocampus that a plan rests on: 260 cases, median 35x50x36
HIPPOCAMPUS = Fingerprint(
    shapes=((35, 50, 36),) * 260,
    spacings=((1.0, 1.0, 1.0),) * 260,
    foreground=Foreground(28.0, 277682.0, 22356.2, 60642.9),
    nonzero_share=1.0,
    modality="MR",
    classes=2,
)


def fingerprint(
    shape: tuple[int, int, int] = (35, 50, 36),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    cases: int = 20,
    modality: str = "CT",
    nonzero_share: float = 1.0,
) -> Fingerprint:
    """Cases that are all alike."""
    inside = Foreground(-900.0, 1500.0, -300.0, 375.0)
    return Fingerprint((shape,) * cases, (spacing,) * cases, inside, nonzero_share, modality)
