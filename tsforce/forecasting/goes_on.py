"""The part of NARXForecaster that takes in later rows: ``update``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsforce.data.later_rows import Grown
from tsforce.data.panel import FloatArray, IntArray, Panel
from tsforce.data.transforms import Chain
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.models.families import Family
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError, SeriesTooShortError, UnseenSeriesError, abbreviate
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import check_count, check_guard, check_number, windows_held_out
from tsforce.forecasting.calibration import Calibration
from tsforce.forecasting.head_options import head_of
from tsforce.forecasting.later_errors import calibrations_after
from tsforce.forecasting.learning import Asked, resolve
from tsforce.forecasting.parts import check_fitted, end_fit, horizon_of, later_rows_of
from tsforce.forecasting.rolling import Rolling
from tsforce.forecasting.sample_paths import DrawsPaths
from tsforce.forecasting.saving import check_rows_kept
from tsforce.forecasting.shrinkage import intercept_of, prior_of
from tsforce.forecasting.streaming import Stream
from tsforce.forecasting.update import Update, error_at_new_rows, in_scales
from tsforce.training.following import Following
from tsforce.training.going_on import STEPS, few_steps, is_least_squares, same_choices
from tsforce.training.growing import Growing, moment_bytes
from tsforce.training.guard import Guard
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.lag_rows import chunks_of_rows, rows_of

__all__ = ["GoesOn"]

# Moments that are kept from one update to the next, at most; of more they are taken from the rows again.
_KEPT_BYTES = 2**30
_ON_MOMENTS = "only linear maps that are least squares of lags and known inputs, without missing values,"
# Lag vectors of new rows at once.
_CHUNK_BYTES = 32 * 2**20


class GoesOn(DrawsPaths):
    """What takes later rows in."""

    horizon: int
    head: Any
    ridge_: Any
    _moments_: Growing | None

    def update(self, df: Any, *, forget: float | None = None, steps: int | None = None) -> Update:
        """Take in rows that came after those learnt from; what was chosen stays as it is.

        That is lags, ridge, prior, the parameters of transforms, terms of a polynomial, the mode. A linear map whose
        weights are least squares then has those of a fit on all rows with the same choices: moments of all rows are
        kept from the first update on (up to a gigabyte) and grow; robust least squares, polynomials and maps with
        past inputs or missing values go back to the rows. What was trained on its own outputs, and networks, take
        some steps of training from the weights they have, on windows of all rows. Regressors and maps of each step
        (``strategy``) are fitted again, everything chosen anew.

        Parameters
        ----------
        df : DataFrame
            Long frame: the new rows alone, right after the last one of each series that was learnt from, or the longer
            frame, whose earlier rows are those that were learnt from. Series without new rows may be missing. Of
            scope="global" it may hold new series.
        forget : float, optional
            In (0, 1]: for each new row of a series (one model for all: of the series with most), earlier ones count by
            this factor less. For linear maps on moments.
        steps : int, optional
            Of training, 20 by default, at a tenth of the learning rate of the fit.

        Returns
        -------
        Update
            What was taken in and how, the error one step ahead at the new rows before, the size of the change; print
            it.

        Raises
        ------
        ArgumentError
            If the training rows were not saved with the model, or `forget` does not go with it.
        FrameError
            If rows are missing in between, or are not those that were learnt from.
        UnseenSeriesError
            If a series is new and scope="local".

        Examples
        --------
        >>> from tsforce import NARXForecaster
        >>> from tsforce.datasets import load
        >>> df = load("airpassengers")
        >>> model = NARXForecaster(12, 24, mode="open_loop").fit(df[:132])
        >>> model.update(df[132:]).rows
        12
        >>> model.predict(1)["ds"].dt.year.tolist()
        [1961]
        """
        check_fitted(self)
        share = _share_left(forget)
        count = STEPS if steps is None else check_count("steps", steps)
        now = later_rows_of(self, df)
        if not now.counts.any():
            return Update(self.name, 0, 0, "state")
        new = _Rows.of(self._rolling_, now, self.scope_ == "global")
        asked = resolve(self, check_model(self.model), self.mode_, windows_held_out)
        return self._take(now, new, asked, share, count)

    def stream(self, horizon: int | None = None, *, learn: bool = False, forget: float | None = None) -> Stream:
        """Return what forecasts sample by sample from here on: ``observe(y, x)``, then ``forecast()``.

        It keeps the rows that the map reads, and its numbers are those of ``predict`` on all rows so far. Weights are
        the forecaster's of now: after an ``update`` take another one. With ``learn=True`` each sample is learnt from:
        weights are those that ``update`` by the same rows would have given, at no look at earlier ones.

        Parameters
        ----------
        horizon : int, optional
            Steps of ``forecast()``; the constructor's by default.
        learn : bool
            Of linear maps on moments (see `update`). The forecaster itself stays as it is.
        forget : float, optional
            In (0, 1]: for each sample, earlier ones count by this factor less. With ``learn=True``.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If a lag transform reads all rows; if it is to learn, and is no such map, or its training rows were not
            saved with it.
        """
        check_fitted(self)
        share, learner = _share_left(forget), None
        if learn:
            learner = self._learner(share)
        elif forget is not None:
            raise ArgumentError(f"forget={forget!r}: a stream that does not learn forgets nothing; add learn=True.")
        fills = self.missing == "own_output"
        return Stream(self._rolling_, self._rows_, horizon_of(self, horizon), fills=fills, learner=learner)

    def _learner(self, share: float) -> Following:
        check_rows_kept(self, "_learnt_from_", "stream(learn=True)")
        panel = self._learnt_from_
        asked = resolve(self, check_model(self.model), self.mode_, windows_held_out)
        squares = head_of(self.head) is None and is_least_squares(asked.kind, asked.mode, self._kept_modes())
        if not (squares and self._grows(asked, bool(np.isnan(panel.values).any()))):
            raise ArgumentError(
                f"learn=True: {_ON_MOMENTS} learn sample by sample; this model is none. Use stream(), and "
                f"update(df) from time to time."
            )
        moments = getattr(self, "_moments_", None) or self._moments_of(panel)
        return Following(moments, self._rolling_.model, self._rolling_.scaling, share)

    def _take(self, now: Grown, new: _Rows, asked: Asked, share: float, steps: int) -> Update:
        way, before, moments = "fitted again", float("nan"), None
        calibrations = calibrations_after(self, now)
        kept = self._kept_modes()
        head = head_of(self.head)
        squares = head is None and is_least_squares(asked.kind, asked.mode, kept)
        gaps = bool(np.isnan(now.panel.values).any())
        grows = squares and self._grows(asked, gaps)
        if share < 1 and not grows:
            raise ArgumentError(
                f"forget={share}: {_ON_MOMENTS} forget at a rate; this model is none. Leave it out, or fit on the "
                f"last rows alone."
            )
        if grows:
            way = "moments"
            moments, before = self._grown_moments(now, new, share)
            model: Any = moments.solve(self._rolling_.scaling, self._rows_of_groups(new)).to(
                self._rolling_.model.weight.dtype
            )
        elif self.strategy == "recursive" and isinstance(asked.kind, Family):
            before = error_at_new_rows(self, now)
            problem, learnt = self._whole(asked, now, new)
            ridge = np.resize(self.ridge_["ridge"].to_numpy(), now.panel.n_series)
            model, way = self._rolling_.model, "least squares" if squares else "steps"
            if head is None and asked.kind.closed_form and "open_loop" in kept:
                model = _in_groups(model, same_choices(problem, learnt, asked.kind, ridge, model), kept)
            if not squares:
                model = few_steps(problem, learnt, asked.kind, model, asked.mode, kept, asked.options, steps)
        else:
            return self._fit_again(now, calibrations)
        change = _change(self._rolling_.model, model)
        rolling = replace(new.rolling, model=model)
        whole = rolling.fill(now.panel) if gaps else now.panel
        self.model_, self._rolling_, self._moments_ = model, rolling, moments
        self._has_grown(whole, now)
        self._calibrations_ = calibrations
        return self._told(now, way, change, before)

    def _has_grown(self, whole: Panel, now: Grown) -> None:
        """Keep what follows from the rows."""
        if len(now.panel.id_list) > now.n_known:
            last = self.ridge_.iloc[-1:]
            more = [last.assign(**{self.id_col: name}) for name in now.panel.id_list[now.n_known :]]
            self.ridge_ = type(self.ridge_)(
                {
                    column: np.concatenate([self.ridge_[column], *(part[column] for part in more)])
                    for column in self.ridge_.columns
                }
            )
        tail = whole.windows(whole.last_rows(), length=self._rolling_.rows_read())
        end_fit(self, whole, self.season_length_, rows=tail, first=now.first)

    def _told(self, now: Grown, way: str, change: float, before: float) -> Update:
        rows, new = now.counts, tuple(now.panel.id_list[now.n_known :])
        return Update(self.name, int(rows.sum()), int((rows > 0).sum()), way, new, change, before)

    def _fit_again(self, now: Grown, calibrations: dict[int, Calibration]) -> Update:
        before = error_at_new_rows(self, now)
        panel = now.panel
        if len(panel.filled):
            panel = replace(panel, filled=np.empty((0, 0)))
        other = self.clone_unfitted().fit(panel, mode=self.mode_)
        self.__dict__.update(vars(other))
        self._calibrations_ = calibrations
        return self._told(now, "fitted again", float("nan"), before)

    # ---- least squares on moments

    def _grows(self, asked: Asked, gaps: bool) -> bool:
        """Return whether the moments of the rows, of which some may be missing, say all of the weights, and add up."""
        model = self._rolling_.model
        plain = isinstance(model, Linear) and self.strategy == "recursive" and asked.options.huber is None
        return plain and not model.layout.past_exog and not gaps

    def _grown_moments(self, now: Grown, new: _Rows, share: float) -> tuple[Growing, float]:
        """Return the moments with the new rows, and the one-step error at these before."""
        model, rolling = self._rolling_.model, self._rolling_
        moments = getattr(self, "_moments_", None)
        if moment_bytes(len(model.bias), model.layout) > _KEPT_BYTES:
            moments = None
        moments = moments or self._moments_of(now.panel.head(now.first))
        if share < 1:
            most = now.counts.max() if rolling.pooled else now.counts
            moments = moments.faded(torch.from_numpy(share ** np.broadcast_to(most, len(model.bias)).astype(float)))
        errors, series = [], []
        for own, cutoffs in new.cutoffs(model.layout.reach):
            batch = new.tail.batch(np.repeat(own[:, None], cutoffs.shape[1], axis=1), cutoffs, horizon=1)
            x, y = rows_of(model.layout, batch, 1)
            weight = None
            if share < 1:
                to_end = new.tail.lengths[own][:, None] - 2 - cutoffs
                weight = torch.from_numpy(share ** to_end.astype(float))
            known = torch.from_numpy(own < now.n_known)
            if bool(known.any()):
                errors.append(self._errors(new, batch, cutoffs, x)[own < now.n_known].reshape(-1, y.shape[2]))
                series.append(np.repeat(own[own < now.n_known], cutoffs.shape[1]))
            if rolling.pooled:
                x, y = x.reshape(1, -1, x.shape[2]), y.reshape(1, -1, y.shape[2])
                weight = None if weight is None else weight.reshape(1, -1)
                own = np.zeros(1, dtype=np.int64)
            moments = moments.add(own, x, y, weight)
        before = float("nan")
        if errors:
            before = in_scales(np.concatenate(errors), self, np.concatenate(series))
        return moments, before

    def _moments_of(self, panel: Panel) -> Growing:
        """Return the moments of all rows of a panel of the fitted series, with what was chosen."""
        rolling = self._rolling_
        n_groups = len(rolling.model.bias)
        return Growing.of(
            rolling.store_of(panel), panel.lengths, rolling.model.layout, pooled=rolling.pooled,
            intercept=np.broadcast_to(np.asarray(self._intercept_of(panel)), n_groups).copy(),
            ridge=np.resize(self.ridge_["ridge"].to_numpy(), n_groups), prior=self._prior_again(rolling),
        )  # fmt: skip

    def _errors(self, new: _Rows, batch: Any, cutoffs: IntArray, x: torch.Tensor) -> FloatArray:
        """Return the absolute one-step errors of rows (g, k, C) in original units."""
        own = batch.series[:, 0]
        model = self._rolling_.model
        if not self._rolling_.pooled:
            z, _ = (model.groups(own) if len(own) < len(model.bias) else model).step(x, None)
        else:
            z, _ = model.step(x.reshape(1, -1, x.shape[2]), None)
            z = z.reshape(*x.shape[:2], *z.shape[2:])
        levels = new.tail.to_levels(z[..., 0][:, :, None], batch, cutoffs)[:, :, 0]
        truth, _ = new.tail.levels(batch.series.numpy(), cutoffs + 1, 1)
        found: FloatArray = (truth[:, :, 0] - levels).abs().numpy()
        return found

    def _rows_of_groups(self, new: _Rows) -> Any:
        """Return what makes all rows of some groups, where moments cannot tell columns apart."""
        panel, rolling = new.whole, new.rolling

        def rows(groups: IntArray) -> Any:
            every = np.arange(panel.n_series) if rolling.pooled else groups
            store = rolling.store_of(panel)
            for x, y in chunks_of_rows(store, every, panel.lengths, rolling.model.layout, 1):
                yield x[0], y[0]

        return rows

    def _prior_again(self, rolling: Rolling) -> Any:
        asked = resolve(self, check_model(self.model), self.mode_, windows_held_out)
        return prior_of(
            self,
            asked,
            rolling.model.layout,
            self.target_transforms_,
            rolling.scaling,
            self.season_length_,
            rolling.pooled,
        )  # fmt: skip

    def _intercept_of(self, learnt_from: Panel) -> Any:
        """Return whether least squares fits an intercept; the first files of format 1 do not say what it was found."""
        if not hasattr(self, "_intercept_"):
            self._intercept_ = intercept_of(self, learnt_from, self.target_transforms_, self._rolling_.pooled)
        return self._intercept_

    # ---- from the rows

    def _whole(self, asked: Asked, now: Grown, new: _Rows) -> tuple[Problem, Learnt]:
        """Return the problem of all rows, with everything that was chosen."""
        rolling, panel = new.rolling, now.panel
        if np.isnan(panel.values).any():
            panel = rolling.fill(replace(panel, filled=np.empty((0, 0))))
        intercept = self._intercept_of(panel.head(now.first))
        if not isinstance(intercept, bool):
            intercept = np.resize(intercept, panel.n_series)
        layout = rolling.model.layout
        problem = Problem(
            panel, self.target_transforms_, rolling.scaling, rolling.context_length, layout, self.horizon,
            self.season_length_, rolling.pooled, intercept, asked.device, rolling.coder, guard=check_guard(self.guard),
            huber=asked.options.huber, prior=self._prior_again(rolling), head=head_of(self.head),
        )  # fmt: skip
        store = rolling.store_of(panel)
        return problem, Learnt(rolling.chain, store, rolling.guard, panel.lengths, rolling.coder)


class _Rows:
    """The new rows of an update, as the model reads them.

    Attributes
    ----------
    whole : Panel
        All rows.
    rolling : Rolling
        That knows the new series.
    tail : SeriesStore
        The last rows of every series, as far back as new ones read.
    """

    def __init__(self, whole: Panel, rolling: Rolling, tail: SeriesStore, counts: IntArray) -> None:
        self.whole, self.rolling, self.tail, self._counts = whole, rolling, tail, counts

    @staticmethod
    def of(rolling: Rolling, now: Grown, pooled: bool) -> _Rows:
        """Return the new rows of a panel that has grown.

        Raises
        ------
        UnseenSeriesError, SeriesTooShortError
            If a series is new and each has a model of its own, or it has no row that the differences leave.
        """
        panel, n_known = now.panel, now.n_known
        chain, guard, position = rolling.chain, rolling.guard, rolling.position
        names = panel.id_list[n_known:]
        if names and not pooled:
            raise UnseenSeriesError(
                f"series {abbreviate(names)} was not fitted, and scope='local' has one model per fitted series. Fit "
                f"again on all rows, or use scope='global'."
            )
        if names:
            fresh = panel.take(np.arange(n_known, panel.n_series))
            if (fresh.lengths <= chain.rows_lost).any():
                raise SeriesTooShortError(
                    f"new series {abbreviate(names)}: as few as {int(fresh.lengths.min())} rows, and the differences "
                    f"leave none of {chain.rows_lost}; give them when they have more."
                )
            own = Chain.learn(chain.transforms, fresh.values, fresh.indptr, fresh.lengths)
            every = np.arange(fresh.n_series)
            store = replace(rolling, chain=own).store_of(fresh, learnt=False)
            guard = guard.followed_by(Guard.learn(store, every, fresh.lengths, factor=guard.factor))
            params = zip(chain.params, own.params, strict=True)
            chain = Chain(chain.transforms, tuple(np.concatenate(pair, axis=1) for pair in params))
            position = {name: i for i, name in enumerate(panel.id_list)}
        rolling = replace(rolling, chain=chain, guard=guard, position=position)
        read = rolling.rows_read(int(now.counts.max()))
        tail = rolling.store_of(panel.windows(panel.last_rows(), length=read))
        seen = np.arange(panel.n_series)
        met = Guard.learn(tail, seen, tail.lengths, factor=guard.factor)
        return _Rows(panel, replace(rolling, guard=guard.joined(met)), tail, now.counts)

    def cutoffs(self, reach: int) -> Any:
        """Yield series (g,) and their cutoffs (g, k) in the tail, one row before each new one whose lags are there."""
        width = 8 * (self.tail.context_length + reach + 2)
        for count in np.unique(self._counts[self._counts > 0]):
            own = np.flatnonzero(self._counts == count)
            least = self.tail.first + reach - 1
            at_once = max(1, _CHUNK_BYTES // (width * len(own)))
            rows = self.tail.lengths[own][:, None] - 1 - count + np.arange(count)
            # Series of one length or not: where lags are not all there, a row is left out of its series' block.
            for start in range(0, int(count), at_once):
                part = rows[:, start : start + at_once]
                whole = (part >= least).all(axis=1)
                if whole.any():
                    yield own[whole], part[whole]
                for i in np.flatnonzero(~whole):
                    left = part[i][part[i] >= least]
                    if len(left):
                        yield own[[i]], left[None]


def _share_left(forget: float | None) -> float:
    """Return what a new row leaves of the weight of earlier ones."""
    share = 1.0 if forget is None else check_number("forget", forget, auto=False, above_zero=True)
    if share > 1:
        raise ArgumentError(f"forget={forget!r}: expected a number above 0 and up to 1, which forgets nothing.")
    return share


def _in_groups(old: Any, new: Any, kept: list[str]) -> Any:
    """Return a model whose groups that kept open loop are those of `new`."""
    if all(name == "open_loop" for name in kept):
        return new
    place = torch.tensor([name == "open_loop" for name in kept])
    for now, before in zip(new.parameters(), old.parameters(), strict=True):
        now.data = torch.where(place.view(-1, *[1] * (now.ndim - 1)), now.data, before.data)
    return new


def _change(old: Any, new: Any) -> float:
    """Return the size of the change of the weights, relative to theirs."""
    before, after = (torch.cat([p.detach().double().flatten() for p in m.parameters()]) for m in (old, new))
    if len(before) != len(after):
        return float("nan")
    size = float(before.norm())
    return float((after - before).norm()) / size if size else float("nan")
