"""Statistics of a transfer study, from what its runs left in their folders; needs neither torch nor MONAI."""

from segxfer3d.statistics.compare import Comparison, compare, holm, planned_pairs, signed_rank
from segxfer3d.statistics.components import Components, variance_components
from segxfer3d.statistics.convergence import Convergence, converge, first_reached
from segxfer3d.statistics.describe import ArmSummary, describe
from segxfer3d.statistics.interval import bootstrap_means
from segxfer3d.statistics.scores import Score, ScoreTable, read_scores, tabulate
from segxfer3d.statistics.verdict import Verdict, judge

__all__ = [
    "ArmSummary",
    "Comparison",
    "Components",
    "Convergence",
    "Score",
    "ScoreTable",
    "Verdict",
    "bootstrap_means",
    "compare",
    "converge",
    "describe",
    "first_reached",
    "holm",
    "judge",
    "planned_pairs",
    "read_scores",
    "signed_rank",
    "tabulate",
    "variance_components",
]
