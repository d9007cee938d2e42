"""NARXForecaster: one-step maps of a target's own past, fitted to a panel and run closed loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from tsforce.data.common_scale import CommonScale
from tsforce.data.frame import series_frame
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.data.transforms import MeanScale, Standardize
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import Family
from tsforce.errors import ArgumentError
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import (
    check_count,
    check_guard,
    long_enough,
    resolve_inputs,
    windows_held_out,
)
from tsforce.forecasting.error_growth import companion_of
from tsforce.forecasting.goes_on import GoesOn
from tsforce.forecasting.head_options import check_counts
from tsforce.forecasting.learning import Asked, draws, learn, place_of, resolve, store, with_filled_contexts
from tsforce.forecasting.likely_paths import HasLikelyPaths
from tsforce.forecasting.parts import begin_fit, end_fit
from tsforce.forecasting.rolling import Rolling
from tsforce.forecasting.saving import check_context
from tsforce.forecasting.settings import settings_for
from tsforce.forecasting.shrinkage import intercept_of, prior_of
from tsforce.forecasting.training_options import HasTraining, takes_old_names
from tsforce.training.fit import LINEAR, Fitted
from tsforce.training.guard import GUARD
from tsforce.training.problem import Problem
from tsforce.training.solvers.ridge import CANDIDATES, RIDGES, RidgeChoice

__all__ = ["NARXForecaster"]


class NARXForecaster(HasTraining, HasLikelyPaths, GoesOn):
    """Forecasts from a one-step map of the target's own past, run on its own outputs.

    Parameters
    ----------
    horizon : int
        H, the steps that training looks at and ``predict`` gives by default.
    lags : "auto", int or sequence of int
        An int L means 1..L, a sequence exactly those. "auto" is ``4 * horizon``, at most a quarter of the rows of the
        median series, at least 4; a season and one more, where every series has the rows for that; no more than leave
        the shortest series rows to learn from. 0 or []: none, a regression on inputs alone.
    lag_transforms : dict of lag -> list of LagTransform, optional
        Statistics of the target's past as further columns, recomputed at every step from what was fed, e.g.
        ``{1: [RollingMean(12)]}`` (``tsforce.lag_transforms``): of the values from that lag backwards, in model units.
    model : "linear", "polynomial", "mlp", "gru", "lstm", "encoder_decoder", a family of ``tsforce.models``, a regressor
        A linear map; a polynomial of degree 2, whose terms are chosen one after the other; beside a linear map, a
        perceptron (two hidden layers of 128) or a recurrent network (64 units, whose state takes in the context first);
        of other sizes as ``tsforce.models.MLP(hidden=(32,))``; or any estimator with ``fit`` and ``predict`` (a
        pipeline, trees ...), of which clones are fitted: on one-step rows open loop; else on these and, round by round,
        on what it was fed in its own roll-outs, paired with the right answer.
    scope : "auto", "global" or "local"
        One model for all series, or one per series. "auto": per series for a linear map, unless static inputs tell
        series apart or a series has too few rows for the lags; else one for all.
    season_length : int, optional
        Steps of one season; by default what goes with the frequency (min 1440, 15min 96, h 24, D 7, W 52, M 12, Q 4,
        else 1).
    freq : "infer", pandas alias or offset, or int
    past_exog : sequence of str
        Input columns that are known up to the cutoff. Where a step looks at one after the cutoff, it reads the last
        value observed, in training as in forecasts. Steps at which the same of them are known have weights of their
        own (a network: indicators of its own), so that later ones spoil none before them.
    future_exog : sequence of str
        Input columns that are known over the horizon: given to ``predict`` as ``future_df``, read from the frame itself
        in backtests.
    static : sequence of str
        Columns of numbers or categories that never change within a series (scope="global").
    calendar : sequence of str
        What the stamps say: "hour", "dayofweek", "hourofweek", "month", "quarter" (an indicator per value),
        "timeofday", "dayofmonth", "dayofyear", "weekofyear" (sines and cosines), "weekend", "monthstart", "monthend".
    exog_lags : None, int, sequence of int, or dict of column -> one of these
        Offsets at which inputs are read, 0 being the step itself. None: 0 of future inputs, 1 of past ones. An int L:
        0..L, or 1..L of past ones.
    target_transforms : "auto" or sequence of Transform
        Applied in order, inverted in reverse, e.g. ``[Log(), Difference(24)]``. "auto": none for models per series and
        for polynomials; for one model of all series a scale that they share: ``Log()`` for networks and regressors
        where all values are positive, else ``MeanScale()``.
    strategy : "recursive", "direct", "dirrec" or "rectify"
        One map that is fed its own outputs; or a map of its own for each of the H steps (linear maps and regressors,
        learnt open loop; later steps go on from the first H), which reads what is known at the cutoff alone; with
        "dirrec", the forecasts of the steps before its own too; with "rectify" it adds to the forecast of one recursive
        linear map what that leaves of its step.
    window_scaling : "auto", None, "mean_abs", "standard" or "last"
        How each window is scaled from its own context. "auto": None for one model per series and without lags, "last"
        for one model of all.
    head : "point", "gaussian", "student_t", "negative_binomial", "quantised" or a head of ``tsforce.models``
        What the model answers with: a value; or a law of the next one, which it learns by gradient and ``sample_paths``
        draws from (linear maps and networks). "negative_binomial": counts; "quantised": probabilities of bins
        (``Quantised(n_bins=64)``). Forecasts are of its mean, in model units.
    context_length : int, optional
        Observed steps that window scaling looks at and a recurrent network's state takes in; the largest lag by
        default, and twice the horizon more for recurrent networks.
    missing : "raise" or "own_output"
        What happens to missing values (NaN) of the target between observed ones. "own_output": the model's own outputs
        stand for them wherever they are fed, in contexts and in training on own outputs; they are no one's target and
        count in no error. (While a model learns, contexts show the outputs of a linear model.)
    mode : "auto", "open_loop", "closed_loop", "curriculum" or a Forcing
        What the model is fed while it learns; forecasts are closed loop whatever the mode. "open_loop": observed
        targets (a linear map or polynomial then is least squares). "closed_loop": its own outputs over the horizon,
        from a warm start by least squares. "curriculum": observed targets first, own outputs later. "auto": open loop,
        then the curriculum, and whichever has the lower closed-loop validation error is kept; a linear map with a prior
        learns open loop.
    loss : "auto", "mae", "mse", "huber", "smape"; of a head "nll" or "crps"
        Of training on own outputs, or by gradient. "auto" is "mae" for AdamW, and "huber" after a start by squares for
        linear maps on moments; Levenberg-Marquardt (``Training(solver=...)``) knows "mse" alone. Least squares, alone
        or as a start, is of squares, or with "huber" robust: errors beyond ``Training(huber_threshold=2)`` robust
        scales count by their size. (Terms of polynomials are chosen by squares all the same.) It keeps squares, and
        says so in ``history_``, where outliers are no accident: if forecasts would be off on average, or more than half
        of the values of a series are equal. Where it is the whole fit, "mae" and "smape" are refused. A head is trained
        by its likelihood ("nll") or CRPS; "auto" is the one in open loop, and the other on own outputs.
    ridge : "auto" or float
        Penalty on standardised columns, added to X'X. "auto" takes from 1, 3, 10, 30, 100, 300 the one with the lowest
        closed-loop error on the last windows of the training rows, per series for scope="local"; 0, 1e-6, .001 or .1
        where data with hardly any noise are forecast much better with it; with a `prior` 1e3, 1e4, 1e6 too.
    prior : "auto", "zero", "naive", "seasonal_naive", "smoothing", "seasonal_smoothing" or "pooled"
        What the penalty of linear maps pulls weights to: zero; those of a naive or seasonal naive forecast; those of
        simple exponential smoothing, or of the airline model for its season, smoothed as one-step squares say (of each
        series for scope="local"); those of one map for all series (scope="local"). At a large ridge the map is that
        forecast, at 0 it is least squares. They are priors of levels: what a ``Difference`` takes the map has not to,
        and one that does not go with the prior is refused. Weights of inputs are pulled to zero. "auto": of one target
        that a map per series sees the levels of, if the ridge is chosen, smoothing, or seasonal smoothing where that
        leaves much less of the squares, lags far from 1 and the season more strongly; else zero.
    max_steps : int, optional
        Steps of training. By default 16 closed loop and 20 under the curriculum for linear maps on moments; of AdamW
        100 for a linear model per series and 300 for a pooled one; 300 and 1000 for "mlp"; 200 and 500 for recurrent
        networks. Iterations of Levenberg-Marquardt, in each phase: 100 one step ahead, 30 on roll-outs. For a
        regressor: rounds, 5.
    training : Training, optional
        What matters to training by gradient or on moments alone: solver, learning rate, batch size, time limit,
        validation windows ... (``tsforce.Training``, or a dict of its fields). ``set_params`` and searches reach
        inside: ``training__learning_rate``.
    intercept : "auto", True, False or float
        Whether least squares fits a constant. A number is its penalty, in shares of the number of rows (0 is True, a
        large one False), the constant being what the map adds to a series at its mean level. "auto": yes, but after a
        seasonal difference (``Difference(d)``, d >= 2) only of series that grow, by a test of the mean of what was
        differenced, else it is a drift for nothing; with prior="auto" penalised by how doubtful a series' drift is.
    guard : float or None
        How far a forecast may run away: so many times the range of its series, as training rows and context show it
        (wild values aside), beyond that range; there it is held, counted and warned of. With `Log` and `BoxCox` that
        goes for logarithms and for original units. It is for maps that grow by themselves: a linear one that is stable
        or integrates is left alone. None or False: no guard.
    short_series : "raise" or "drop"
        What happens to a series with too few rows; dropped ones are listed in ``short_series_``.
    device : "auto" or torch device
        "auto" is the CPU: closed forms are fitted in float64.
    random_state : int
        Every draw is keyed by it and the series' id.
    verbose : bool
        Show both validation errors and the gap on stderr while training, then what ``history_`` notes.
    alias : str, optional
        Name of the forecast's column; the class name by default.
    id_col, time_col : str
        Names of the columns in the long frame.
    target_col : str or sequence of str
        The target; of several columns, all are forecast, each from the past of all, and fed back together.

    Attributes
    ----------
    lags_ : tuple of int
    season_length_, context_length_ : int
    freq_ : str, int or offset
    window_scaling_, scope_, prior_ : str or None
    target_transforms_ : tuple of Transform
        What was taken.
    mode_ : str or Forcing
        The mode it was trained in.
    kept_mode_ : str, or dict of id -> str for scope="local"
        The mode whose weights were kept: "open_loop" where none was better than that; the others are tried by "auto".
    history_ : TrainingHistory
        ``frame``: per look the forced loss, one-step and closed-loop validation error, forcing ratio, learning rate.
    ridge_ : DataFrame
        The id column, ``ridge``, ``n_windows`` of validation, and one closed-loop error per candidate (original units).
        ``history_.notes`` count choices that ended at the smallest or largest candidate.
    model_ : StepModel
    short_series_ : list
        Ids of series that were left out.
    train_end_ : DataFrame
        The id column and ``cutoff``: the last row each series was learnt from.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, lags=24, scope="local").fit(load("airpassengers"))
    >>> model.predict().shape
    (12, 4)
    """

    @takes_old_names
    def __init__(
        self,
        horizon: int,
        lags: Any = "auto",
        *,
        lag_transforms: Any = None,
        model: Any = "linear",
        scope: str = "auto",
        season_length: int | None = None,
        freq: Any = "infer",
        past_exog: Any = (),
        future_exog: Any = (),
        static: Any = (),
        calendar: Any = (),
        exog_lags: Any = None,
        strategy: str = "recursive",
        target_transforms: Any = "auto",
        window_scaling: str | None = "auto",
        head: Any = "point",
        context_length: int | None = None,
        missing: str = "raise",
        mode: Any = "auto",
        loss: str = "auto",
        ridge: float | str = "auto",
        prior: str = "auto",
        max_steps: int | None = None,
        training: Any = None,
        intercept: bool | float | str = "auto",
        guard: float | bool | None = GUARD,
        short_series: str = "raise",
        device: Any = "auto",
        random_state: int = 0,
        verbose: bool = False,
        alias: str | None = None,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: Any = "y",
    ) -> None:
        self.horizon = horizon
        self.lags = lags
        self.lag_transforms = lag_transforms
        self.model = model
        self.scope = scope
        self.season_length = season_length
        self.freq = freq
        self.past_exog = past_exog
        self.future_exog = future_exog
        self.static = static
        self.calendar = calendar
        self.exog_lags = exog_lags
        self.strategy = strategy
        self.target_transforms = target_transforms
        self.window_scaling = window_scaling
        self.head = head
        self.context_length = context_length
        self.missing = missing
        self.mode = mode
        self.loss = loss
        self.ridge = ridge
        self.prior = prior
        self.max_steps = max_steps
        self.training = training
        self.intercept = intercept
        self.guard = guard
        self.short_series = short_series
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.alias = alias
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col

    def depends_on_seed(self, mode: Any = None) -> bool:
        """Return whether a fit in `mode` draws anything: least squares does not."""
        return draws(self, mode)

    # ---- fit

    def fit(self, df: Any, y: None = None, *, mode: Any = None, checkpoint: Any = None) -> Self:
        """Learn from a long frame.

        Parameters
        ----------
        df : DataFrame
            Long frame; every row is learnt from.
        y : None
            scikit-learn's slot; the target is a column of `df`.
        mode : str or Forcing, optional
            Wins over the constructor's for this fit and is remembered in ``mode_``.
        checkpoint : path-like, optional
            Folder in which training by gradient keeps how far it has got. The same call goes on from there where its
            process was killed, and ends with the same weights. Least squares and regressors keep nothing.

        Returns
        -------
        NARXForecaster
            Itself.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If a parameter is not accepted.
        FrameError
            With every fault of the frame.
        SeriesTooShortError
            If a series has too few rows and ``short_series="raise"``, or all have.
        PersistenceError
            If `checkpoint` holds something else: another model, other data, other versions; says which.

        Warns
        -----
        ContextWarning
            If more than half of the values of a target are missing.
        """
        begin_fit(self, y)
        return self._fit_on(df, mode, None, checkpoint)

    def _settled(self) -> Any:
        """Return the penalties by series and a typical one for all others, where they are all that is chosen."""
        chosen = self.ridge_["ridge"].to_numpy()
        if self.scope_ != "local" or self.mode_ != "open_loop" or not np.isfinite(chosen).all():
            return None
        typical = float(np.quantile(chosen, 0.5, method="lower"))
        return dict(zip(self.ridge_[self.id_col], chosen.tolist(), strict=True)), typical

    def _fit_on(self, panel: Any, mode: Any, settled: Any, checkpoint: Any = None) -> Self:
        asked = resolve(self, check_model(self.model), mode, windows_held_out)
        panel, problem = self._build(panel, asked)
        if settled is not None:
            ridge, typical = settled
            asked = replace(asked, ridge=np.array([ridge.get(name, typical) for name in problem.panel.id_list]))
        place = place_of(self, checkpoint, asked, problem.panel)
        fitted = learn(problem, asked, name=self.name, verbose=self.verbose, checkpoint=place)
        self._store(panel, problem, asked, fitted)
        return self

    def _build(self, df: Any, asked: Asked) -> tuple[Panel, Problem]:
        """Return the panel of a frame, and what is to be learnt from the series of it that are long enough."""
        panel = self.read(df)
        told = settings_for(self, panel, asked)
        horizon, season_length, pooled, head = told.horizon, told.season_length, told.pooled, told.head
        transforms, scaling, ahead, lost = told.transforms, told.scaling, told.ahead, told.rows_lost
        if head is not None and head.of_counts:
            check_counts(head, panel)
        coder, given = resolve_inputs(panel, self.exog_lags, self.calendar, pooled=pooled)
        layout = LagLayout(told.lags, told.channels, told.features, **given)
        direct = self.strategy != "recursive"
        furthest = replace(layout, ahead=ahead)
        recursive = self.strategy in ("recursive", "rectify")
        layout = layout.by_known_steps(horizon) if recursive else layout
        # A recurrent network's state needs steps before the cutoff to take in.
        recurrent = isinstance(asked.kind, Family) and asked.kind.takes_in_context
        context_length = self._resolve_context(layout.context, layout.context + (2 * horizon if recurrent else 0))
        if coder is not None and recurrent:
            coder = replace(coder, warm_up=context_length - layout.reach)
        drop = self.short_series == "drop"
        series = long_enough(panel, furthest, lost, pooled=pooled, drop=drop, strategy=self.strategy)
        kept = panel if len(series) == panel.n_series else panel.take(series)
        intercept = intercept_of(self, kept, transforms, pooled)
        prior = prior_of(self, asked, layout if recursive else furthest, transforms, scaling, season_length, pooled)
        modes = ("open_loop",) if prior is None else ("open_loop", "auto")
        closed = (
            head is None and asked.kind == LINEAR and (direct or asked.mode in modes) and asked.options.solver == "auto"
        )
        if scaling is None and isinstance(asked.kind, Family) and not (closed or (head and head.of_counts)):
            # Gradient steps need units of about 1; least squares does not care.
            if not pooled:
                transforms = (*transforms, Standardize() if np.all(intercept) else MeanScale())
            elif not layout.target_reach:
                transforms = (CommonScale.of(kept.values), *transforms)
        problem = Problem(
            kept, transforms, scaling, context_length, layout, horizon, season_length, pooled, intercept,
            asked.device, coder, guard=check_guard(self.guard), huber=asked.options.huber,
            prior=prior, strategy=self.strategy, head=head, n_together=panel.n_series,
        )  # fmt: skip
        return panel, with_filled_contexts(problem, asked.ridge)

    def _resolve_context(self, least: int, default: int) -> int:
        if self.context_length is None:
            return default
        found = check_count("context_length", self.context_length)
        if found < least:
            raise ArgumentError(
                f"context_length={found} is shorter than the largest lag, {least}; make it at least that."
            )
        return found

    def _store(self, panel: Panel, problem: Problem, asked: Asked, fitted: Fitted) -> None:
        """Keep what was learnt; that the forecaster is fitted, last."""
        store(self, asked, fitted)
        kept = problem.panel
        self.lags_ = problem.layout.lags
        self.context_length_ = problem.context_length
        self.window_scaling_ = problem.scaling
        self.scope_ = "global" if problem.pooled else "local"
        self.target_transforms_ = problem.transforms
        self.prior_ = "zero" if problem.prior is None else problem.prior.kind
        known = set(kept.id_list)
        self.short_series_ = [name for name in panel.id_list if name not in known]
        self.ridge_ = self._ridge_frame(kept, fitted.ridge)
        self.kept_mode_ = fitted.kept[0] if problem.pooled else dict(zip(kept.id_list, fitted.kept, strict=True))
        self._rolling_, self._intercept_ = Rolling.of(fitted, problem), problem.intercept
        if len(kept.filled):
            kept = self._rolling_.fill(kept)
        tail = kept.windows(kept.last_rows(), length=self._rolling_.rows_read())
        end_fit(self, kept, problem.season_length, rows=tail)

    @staticmethod
    def _ridge_frame(panel: Panel, choice: RidgeChoice) -> Any:
        tried = [
            ridge in RIDGES or not np.isnan(row).all() for ridge, row in zip(CANDIDATES, choice.errors, strict=True)
        ]
        errors = {f"error_at_{CANDIDATES[i]:g}": choice.errors[i] for i in np.flatnonzero(tried)}
        return series_frame(panel, {"ridge": choice.ridge, "n_windows": choice.n_windows, **errors})

    # ---- predict

    def predict(
        self, horizon: int | None = None, *, future_df: Any = None, history: Any = None, level: Any = None
    ) -> Any:
        """Return closed-loop forecasts after the last training row of each series, or the last row of `history`.

        Parameters
        ----------
        horizon : int, optional
            H, steps after the cutoff; the constructor's by default. Longer is allowed, with a warning.
        future_df : DataFrame, or dict of name -> DataFrame
            Long frame with the id and time columns and every ``future_exog`` column for the H steps after each cutoff;
            further rows and columns are not read. Several frames are scenarios, forecast side by side: the result then
            has the column ``scenario`` in front.
        history : DataFrame, optional
            Long frame that replaces the context of known series (nothing is learnt again). Where it goes on from the
            rows that were learnt from, these stand before it: new rows alone will do. A series that was not fitted is
            forecast for scope="global", its transforms learnt from `history`.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon (of several targets,
            a column <name>-<target> for each). ``attrs`` count the windows that ran away and were held by the guard and
            the context values that a transform clamped.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        UnseenSeriesError
            If `history` has a series that was not fitted and scope="local".
        FutureExogError
            If inputs that must be known over the horizon are missing: says which columns and stamps.

        Warns
        -----
        ContextWarning
            If a series has fewer rows than the lags reach back over: the mean of those that it has stands for the rest.
            If a transform had to move an observed value.
        """
        return self._predict(horizon, future_df=future_df, history=history, level=level)

    def _shown(self) -> FloatArray:
        check_context(self._rolling_.context_length, int(self._rows_.lengths.max(initial=0)))
        return super()._shown()

    def _ridge_of_maps(self) -> Any:
        return None if self._rolling_.pooled else self.ridge_["ridge"].to_numpy()

    def _companion(self, panel: Panel, index: WindowIndex, horizon: int) -> Any:
        return companion_of(self._rolling_, *self._rolling_.joined(self._rows_, panel, index), horizon)

    def _ahead(self, panel: Panel, index: WindowIndex, horizon: int) -> Any:
        return self._rolling_.forecast(*self._rolling_.joined(self._rows_, panel, index), horizon)
