"""The clones of a model that make the windows of a backtest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tsforce.data.panel import Panel
from tsforce.errors import SeriesTooShortError
from tsforce.evaluation.backtest_windows import Plan
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import fit_within
from tsforce.persistence.checkpoints import Checkpoint

__all__ = ["Clones"]


@dataclass(frozen=True, eq=False)
class Clones:
    """Clones of a model, each fitted when it is first asked for.

    Attributes
    ----------
    model : Forecaster
    panel : Panel
    parts : list of Plan
        The windows of each.
    train_size : int, optional
        Rows of each series, the last ones before its windows, that a clone learns from.
    place : Checkpoint, optional
        Where fits keep how far they have got.
    fitted : dict of int -> Forecaster
        Those that are there, by number.
    """

    model: Forecaster
    panel: Panel
    parts: list[Plan]
    train_size: int | None = None
    place: Checkpoint | None = None
    fitted: dict[int, Forecaster] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, k: int) -> Forecaster:
        """Return a clone fitted on the rows up to each series' first cutoff of its windows; -1 is the last one."""
        k = range(len(self))[k]
        if k not in self.fitted:
            self.fitted[k] = self._fit(k)
        return self.fitted[k]

    def __iter__(self) -> Iterator[Forecaster]:
        return (self[k] for k in range(len(self)))

    def _fit(self, k: int) -> Forecaster:
        panel, plan = self.panel, self.parts[k]
        seen = panel.head(plan.first_rows(panel.n_series) + 1)
        more_rows = plan.more_rows
        if self.train_size is not None and self.train_size < seen.lengths.max():
            seen = seen.windows(seen.last_rows(), self.train_size)
            more_rows = f"a longer window than train_size={self.train_size}"
        place = self.place and self.place.within(f"clone-{k}").within("fit")
        try:
            return fit_within(self.model.clone_unfitted(), seen, getattr(self.model, "mode_", None), place)
        except SeriesTooShortError as error:
            # The model knows what it was shown, not why it was no more.
            raise SeriesTooShortError(
                f"{error} These are the rows up to the first cutoff, {int(seen.lengths.max())} of "
                f"{int(panel.lengths.max())} in the longest series: {more_rows} would leave more to learn from."
            ) from error
