"""The options of a split that the user says, and of cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

MOST_FOLDS = 1000
# a bundle's test_fraction where nothing else says what is tested
NOT_SAID = "0.0 if @split_file or @fold is not None else "


@dataclass(frozen=True)
class OwnSplit(Group):
    """Who is in which part, where that is not drawn by fractions."""

    split_file: str = option(
        "", "JSON or a table (CSV, TSV): which cases or patients train, validate and test, or are of which fold",
        path="file", tells_arms=False,
    )  # fmt: skip
    fold: int | None = option(
        None,
        "the fold that is tested, counted from 0; the others train",
        least=0,
        most=MOST_FOLDS - 1,
        tells_arms=False,
    )
    folds: int | None = option(
        None, "folds that patients are drawn into; none: those of split_file or of the data set", least=2,
        most=MOST_FOLDS, tells_arms=False,
    )  # fmt: skip

    def problems(self) -> list[str]:
        """A training is of one fold."""
        if self.folds is None:
            return []
        if self.fold is None:
            return [f"fold: which of {self.folds} folds? Expected 0 to {self.folds - 1}; segxfer3d cross runs all"]
        if self.fold >= self.folds:
            return [f"fold: expected 0 to {self.folds - 1} (of {self.folds} folds), got {self.fold}"]
        return []
