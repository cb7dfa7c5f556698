"""Planning: from the cases whose labels train to spacing, patch, batch, network and intensities."""

from segxfer3d.data.planning.fingerprint import Fingerprint, take_fingerprint
from segxfer3d.data.planning.make import make_plan
from segxfer3d.data.planning.plan import Intensity, Plan

__all__ = ["Fingerprint", "Intensity", "Plan", "make_plan", "take_fingerprint"]
