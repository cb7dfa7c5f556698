"""What windows are cut from: a volume in memory, or what makes boxes of one when they are looked at."""

from __future__ import annotations

from torch import Tensor

from segxfer3d.data.preprocessing.scaled_volume import ScaledVolume

Image = Tensor | ScaledVolume  # (C, X, Y, Z) float32
