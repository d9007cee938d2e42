"""NARXRegressor: fit(X, y) on measured records of a dynamic system, predict(X) by simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import MLP, Family
from tsforce.errors import ArgumentError, SeriesTooShortError, check_choice
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import check_count, check_guard, resolve_inputs
from tsforce.forecasting.exportable import CanExport
from tsforce.forecasting.in_notebooks import InNotebooks
from tsforce.forecasting.learning import Asked, draws, learn, place_of, resolve, solver_of, store
from tsforce.forecasting.parts import forget
from tsforce.forecasting.rolling import Rolling
from tsforce.forecasting.saving import CanBeSaved, check_context
from tsforce.forecasting.training_options import HasTraining, takes_old_names, training_of
from tsforce.identification.asked_lags import check_output_lags, lags_by_input, said_lags
from tsforce.identification.gaps_in_records import check_no_gaps
from tsforce.identification.reading import HasFormulas
from tsforce.identification.record_starts import LearntRecord, usable_starts, warn_of_other_units
from tsforce.identification.records import (
    check_clock,
    check_lengths,
    check_order,
    check_weight,
    column_names,
    held_out_share,
    horizon_of,
    measured_starts,
    n_held_out,
    numbers,
    record_panel,
    rows_to_skip,
    standard,
)
from tsforce.identification.sessions import Given
from tsforce.identification.simulator import Simulation, Simulator, warn_of_clipping
from tsforce.identification.updating import HasUpdate, Learner
from tsforce.training.fit import Fitted
from tsforce.training.guard import GUARD
from tsforce.training.problem import Problem

__all__ = ["NARXRegressor"]

FloatArray = npt.NDArray[np.float64]

# A network for one dynamic system: smooth, and small enough for Levenberg-Marquardt.
_MLP = MLP((16,), "tanh")
# Rows of the simulation that a file holds.
_SHOWN = 24


class NARXRegressor(InNotebooks, CanBeSaved, CanExport, RegressorMixin, HasTraining, HasUpdate, HasFormulas):
    """A model of a dynamic system: each output from earlier outputs and from inputs, simulated by ``predict``.

    Rows of X (inputs) and y (outputs) are in time order, one time step apart. ``predict(X)`` simulates: it feeds the
    model its own outputs, from inputs alone; `one_step` and `predict_ahead` start from measured outputs at every row.
    Measured outputs to start a simulation from are `predict`'s ``y_init``; the first of them also stands before them.
    Without any, a model of one record goes on where the record ended (or, given the very inputs that it learnt from,
    starts as the record did); of several records, a system rests before the first row: its outputs at the training
    mean, its inputs at those of the first row.

    Parameters
    ----------
    output_lags : int or sequence of int
        Earlier outputs that are read: an int L means 1..L, a sequence exactly those. 0 or []: none, so that outputs
        follow from inputs alone (a finite impulse response).
    input_lags : int or sequence of int, or one of these for each input
        Inputs that are read: an int L means ``input_delay .. input_delay + L - 1``, a sequence those offsets, each
        `input_delay` further back; 0 is the same row. Each input has its own by a list of them, ``[[1, 2], [12]]``, or
        a dict of name -> lags; ``[1, 12]`` is both lags of every input. An ARX model (na, nb, nk) is ``(output_lags,
        input_lags, input_delay)``.
    input_delay : int, or one for each input
        Rows after which an input shows at the earliest: its dead time. A list, or a dict by name, gives each its own.
    model : "linear", "polynomial", "mlp", "gru", "lstm", a family of ``tsforce.models`` or a regressor
        "mlp" is ``tsforce.models.MLP((16,), "tanh")``, a small smooth network. Any estimator with ``fit`` and
        ``predict`` will do: clones of it are fitted.
    mode : "auto", "open_loop", "closed_loop", "curriculum" or a Forcing
        What the model is fed while it learns. "open_loop": measured outputs (a linear model then is least squares).
        "closed_loop": its own outputs over `horizon` steps, from a start by least squares. "curriculum": measured
        outputs first, its own later. "auto": open loop, then the others, and whichever simulates the held-out rows
        better is kept.
    horizon : "auto" or int
        Steps of a training roll-out. "auto": 50, or four times the largest lag if that is more, but no more than a
        quarter of the longest record.
    ridge : float or "auto"
        Penalty of least squares on standardised columns. "auto" takes from 1, 10, 30, 100, 300 the one that simulates
        the held-out rows best, or of 0, 1e-6, .001 and .1 one that does much better.
    loss : "auto", "mae", "mse", "huber" or "smape"
        "auto": "mse" for Levenberg-Marquardt, which knows no other, "mae" for AdamW. "huber" makes least squares
        robust too, as in ``NARXForecaster``.
    max_steps : int, optional
        As in ``NARXForecaster``.
    training : Training, optional
        What matters to training by gradient alone: solver, learning rate, the share of every record that is held out
        ... (``tsforce.Training``, or a dict of its fields). ``set_params`` and searches reach inside:
        ``training__learning_rate``.
    guard : float or None
        How far a simulation may run away: so many times the range of the outputs beyond that range; there it is held,
        with a warning. It is for maps that grow by themselves: a linear one that is stable or integrates goes wherever
        inputs send it, and a step from measured outputs is what it is. None or False: no guard.
    device : "auto" or torch device
        "auto" is the CPU.
    random_state : int
        Every draw is keyed by it.
    verbose : bool
        Show both validation errors on stderr while training, then what ``history_`` notes.

    Attributes
    ----------
    model_ : StepModel
        On standardised outputs (``y_mean_``, ``y_scale_``) and inputs.
    output_lags_ : tuple of int
    input_lags_ : tuple of int, or dict of name -> tuple of int
        Delays included; a dict if they are not the same for every input (nameless ones are x0, x1 ...).
    output_names_ : (C,) tuple of str
        Columns of y, or the name of a Series; without names y, or y0, y1 ... Output axes are in their order.
    horizon_ : int
    mode_ : str or Forcing
        The mode it was trained in.
    kept_mode_ : str
        The mode whose weights were kept: "open_loop" where none was better than that; the others are tried by "auto".
    history_ : TrainingHistory
        ``frame``: per look the forced loss, one-step and closed-loop validation error, forcing ratio, learning rate.
    ridge_ : float
        NaN for a regressor.
    y_mean_, y_scale_ : (C,) float64
        Mean and standard deviation of each output over all records.
    x_mean_ : (F,) float64
        Mean of each input over all records.
    n_features_in_ : int
    feature_names_in_ : (F,) str
        Where X had names.

    Notes
    -----
    ``cross_val_score`` and searches want folds that are one stretch of time, ``TimeSeriesSplit``, or whole records:
    ``GridSearchCV(model, grid, cv=LeaveOneGroupOut()).fit(X, y, groups=labels, sessions=labels)``, each record with a
    label of its own, since a fold may bring any two side by side. (Of lists of records, ``cv=KFold(len(X))`` does the
    same.) Where folds leave several records out, `sessions` reach the score by metadata routing, as arguments do in
    pipelines: ``set_fit_request(sessions=True)``, ``set_score_request(sessions=True)``. A search by successive halving
    wants ``resource="max_steps"``: with "n_samples" scikit-learn draws rows at random, which leaves no record.
    Candidates with other lags are to be scored on the same rows: ``scoring=lambda model, X, y: model.score(X, y,
    skip=10)``, 10 being the largest lag of all.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce import NARXRegressor
    >>> u = np.random.default_rng(0).normal(size=(300, 1))
    >>> y = np.zeros(300)
    >>> for t in range(1, 300):
    ...     y[t] = 0.8 * y[t - 1] + u[t - 1, 0]
    >>> model = NARXRegressor(output_lags=1, input_lags=1, input_delay=1, mode="open_loop").fit(u[:200], y[:200])
    >>> round(model.score(u[200:], y[200:]), 6)
    1.0
    """

    n_features_in_: int
    feature_names_in_: Any

    @takes_old_names
    def __init__(
        self,
        output_lags: Any = 2,
        input_lags: Any = 2,
        *,
        input_delay: Any = 0,
        model: Any = "linear",
        mode: Any = "auto",
        horizon: int | str = "auto",
        ridge: float | str = 0.0,
        loss: str = "auto",
        max_steps: int | None = None,
        training: Any = None,
        guard: float | bool | None = GUARD,
        device: Any = "auto",
        random_state: int = 0,
        verbose: bool = False,
    ) -> None:
        self.output_lags = output_lags
        self.input_lags = input_lags
        self.input_delay = input_delay
        self.model = model
        self.mode = mode
        self.horizon = horizon
        self.ridge = ridge
        self.loss = loss
        self.max_steps = max_steps
        self.training = training
        self.guard = guard
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: several outputs are fine; on rows that are no time series, scores are poor."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True
        return tags

    # ---- fit

    def fit(
        self, X: Any, y: Any, session_sizes: Any = None, *, sessions: Any = None, mode: Any = None,
        checkpoint: Any = None,
    ) -> Self:  # fmt: skip
        """Learn from one record, or from several: one below the other, or a list of them.

        Parameters
        ----------
        X : array-like, (n, F), or a list of them, or (S, n, F)
            Inputs, rows in time order. A list holds a table for each record; no lag reaches from one into another.
        y : array-like, (n,) or (n, C), or a list of them
            Outputs, measured at the same rows.
        session_sizes : array-like, (S,), optional
            Rows of each record, where several stand one below the other. One record by default.
        sessions : array-like, (n,), optional
            A label for each row instead: another label than that of the row before begins a record. Searches cut it as
            they cut X.
        mode : str or Forcing, optional
            Wins over the constructor's for this fit and is remembered in ``mode_``.
        checkpoint : path-like, optional
            Folder in which training by gradient keeps how far it has got. The same call goes on from there where its
            process was killed, and ends with the same weights. Least squares and regressors keep nothing.

        Returns
        -------
        NARXRegressor
            Itself.

        Raises
        ------
        PersistenceError
            If `checkpoint` holds something else: another model, other data, other versions; says which.
        ArgumentError
            If a parameter is not accepted, a value is NaN or infinite (`tsforce.sysid.without_gaps` cuts records
            there), records or their sizes do not fit together, columns of X and y share a name, or an index says that
            rows are missing, out of order, or others in y than in X.
        ValueError
            scikit-learn's, for X or y that are no numbers in two dimensions.
        SeriesTooShortError
            If no record has a row whose lags are all in it.

        Warns
        -----
        ContextWarning
            If `session_sizes` are of more rows than X has, and X is taken for some of them.
        ValidationWarning
            If every record is too short to hold out what something is to be chosen by.
        """
        forget(self)
        kind = _MLP if isinstance(self.model, str) and self.model == "mlp" else check_model(self.model)
        asked = resolve(self, kind, mode, n_held_out)
        problem = self._build(Given.of(X, y, session_sizes, sessions), asked)
        asked = replace(asked, options=replace(asked.options, solver=solver_of(asked, problem.layout)))
        place = place_of(self, checkpoint, asked, problem.panel)
        fitted = learn(problem, asked, name=type(self).__name__, verbose=self.verbose, checkpoint=place)
        self._store(problem, asked, fitted)
        return self

    def _build(self, given: Given, asked: Asked) -> Problem:
        """Return what is to be learnt from which records, and set what is known of their columns."""
        output_lags = check_output_lags(self.output_lags)
        share = held_out_share(training_of(self.training).validation)
        check_no_gaps("fit(X, y, session_sizes=session_sizes)", given)
        X, y = validate_data(self, given.X, given.y, dtype=np.float64, multi_output=True, ensure_min_samples=2)
        targets, sizes = numbers("y", y), given.sizes(len(X))
        check_clock(given.X, given.y, sizes)
        names, channels = column_names(getattr(self, "feature_names_in_", ()), X.shape[1], given.y, targets.shape[1])
        input_lags = lags_by_input(self.input_lags, self.input_delay, names)
        reach = LagLayout(output_lags, channels, future_exog=tuple(input_lags.items())).reach
        check_lengths(sizes, reach)
        horizon = horizon_of(self.horizon, reach, int(sizes.max()))
        self.input_lags_, self.output_names_, self._one_column_ = said_lags(input_lags), channels, y.ndim == 1
        self.x_mean_ = X.mean(axis=0)
        self.y_mean_, self.y_scale_ = standard(targets)
        panel = record_panel(X, (targets - self.y_mean_) / self.y_scale_, sizes, names, channels)
        coder, read = resolve_inputs(panel, input_lags, (), pooled=True)
        layout = LagLayout(output_lags, channels, **read)
        # A recurrent network's state needs steps before the cutoff to take in.
        recurrent = isinstance(asked.kind, Family) and asked.kind.takes_in_context
        context = layout.reach + (2 * horizon if recurrent else 0)
        self._learnt_ = LearntRecord.of(X, targets, context) if len(sizes) == 1 else None
        return Problem(
            panel, (), None, context, layout, horizon, 1, True, True, asked.device, coder, judged_share=share,
            guard=check_guard(self.guard), huber=asked.options.huber,
        )  # fmt: skip

    def _store(self, problem: Problem, asked: Asked, fitted: Fitted) -> None:
        """Keep what was learnt; the model, which says that there is one, last."""
        self.output_lags_, self.horizon_ = problem.layout.lags, problem.horizon
        self.kept_mode_ = fitted.kept[0]
        self.ridge_ = float(fitted.ridge.ridge[0])
        # What is simulated later is no record that was fitted: what was learnt of all rows stands behind any.
        panel = problem.panel
        rows = np.array([0, len(panel.values)], dtype=np.int64)
        one = replace(panel, ids=panel.ids[:1], indptr=rows, start=panel.start[:1])
        whole = replace(problem, panel=one)
        self._rolling_ = Rolling.of(replace(fitted, learnt=whole.learn(one.lengths)), whole)
        ridge, solver = self.ridge_, training_of(self.training).solver
        squares = solver == "auto" and problem.huber is None
        self._learner_ = Learner.of(self._rolling_, panel, ridge, self.kept_mode_, squares)
        store(self, asked, fitted)

    def depends_on_seed(self, mode: Any = None) -> bool:
        """Return whether a fit in `mode` draws anything: least squares does not."""
        return draws(self, mode)

    # ---- predict

    def predict(self, X: Any, y_init: Any = None, session_sizes: Any = None, *, sessions: Any = None) -> Any:
        """Return the outputs of a closed-loop simulation: every row from inputs and the model's own earlier outputs.

        Parameters
        ----------
        X : array-like, (n, F), or a list of them, or (S, n, F)
            Inputs, rows in time order.
        y_init : array-like, (n0,) or (n0, C), or a list of them or (S, n0, C), one per record, or "rest", optional
            Outputs measured at the first n0 rows of each record (n0 of its own, or None): they come back as they are,
            and the simulation starts after them. Where that is every row, those that the lags reach back over start
            it. "rest": outputs rest at the training mean before the first row. By default a single record, of a model
            that has learnt from a single one, goes on where that ended, or, if X is what was learnt from, starts as
            that did; others rest.
        session_sizes, sessions : optional
            As in `fit`.

        Returns
        -------
        ndarray, (n,) or (n, C) float64, or a list of them where X is a list
            Original units; two-dimensional if y was when the model was fitted.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If `y_init` has another number of outputs or more rows than its record, a value is NaN or infinite, or
            records or their sizes do not fit together.

        Warns
        -----
        ContextWarning
            If `y_init` holds every row, or fewer rows than the output lags reach back over; if it comes through a
            TransformedTargetRegressor, which does not transform it.
        DivergenceWarning
            If a simulation ran away and was held by the guard.
        """
        simulated = self.simulate(X, y_init, session_sizes, sessions=sessions)
        warn_of_clipping("records", simulated.clipped, self._rolling_.guard.factor)
        return simulated.y

    def simulate(self, X: Any, y_init: Any = None, session_sizes: Any = None, *, sessions: Any = None) -> Simulation:
        """Return what `predict` does, and which records were clipped instead of a warning; parameters as there."""
        check_is_fitted(self, "model_")
        given = Given.of(X, None, session_sizes, sessions)
        check_no_gaps("predict(X, session_sizes=session_sizes)", given)
        X = validate_data(self, given.X, reset=False, dtype=np.float64)
        sizes = given.sizes(len(X))
        heads = measured_starts(None if isinstance(y_init, str) else y_init, sizes, self.output_names_)
        before = None
        if isinstance(y_init, str):
            check_choice("y_init", y_init, ("rest",))
        elif y_init is not None:
            warn_of_other_units()
            heads = usable_starts(heads, sizes, self.model_.layout.target_reach)
        elif len(sizes) == 1 and self._learnt_ is not None:
            before = self._learnt_.before(X)
        y, clipped = self._simulator.simulate(X, sizes, heads, before)
        return Simulation(given.apart(y[:, 0] if self._one_column_ else y, sizes), clipped)

    def one_step(self, X: Any, y: Any, session_sizes: Any = None, *, sessions: Any = None) -> Any:
        """Return each row's output from measured outputs up to the row before; parameters as in `predict_ahead`."""
        call = "one_step(X, y, session_sizes=session_sizes)"
        return self._ahead(call, Given.of(X, y, session_sizes, sessions), 1)

    def predict_ahead(self, X: Any, y: Any, steps: int, session_sizes: Any = None, *, sessions: Any = None) -> Any:
        """Return each row's output from outputs measured up to `steps` rows before it, the model's own in between.

        Parameters
        ----------
        X : array-like, (n, F), or a list of them, or (S, n, F)
        y : array-like, (n,) or (n, C), or a list of them
            Measured outputs.
        steps : int
            At least 1. Rows that have fewer before them are simulated from the start of their record.
        session_sizes, sessions : optional
            As in `fit`.

        Returns
        -------
        ndarray, (n,) or (n, C) float64, or a list of them where X is a list
            Original units.

        Raises
        ------
        NotFittedError, ArgumentError
            As `predict`.
        """
        call = f"predict_ahead(X, y, {steps}, session_sizes=session_sizes)"
        return self._ahead(call, Given.of(X, y, session_sizes, sessions), check_count("steps", steps))

    def _ahead(self, call: str, given: Given, steps: int) -> Any:
        """Return what `predict_ahead` does."""
        check_is_fitted(self, "model_")
        X, targets, sizes = self._both(call, given)
        out, clipped = self._simulator.ahead(X, targets, sizes, steps)
        warn_of_clipping("roll-outs", clipped, self._rolling_.guard.factor)
        return given.apart(out[:, 0] if self._one_column_ else out, sizes)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        session_sizes: Any = None,
        *,
        sessions: Any = None,
        skip: int | None = None,
    ) -> float:
        """Return R2 of a simulation that starts from as many measured outputs as the largest lag; the rest is scored.

        Parameters
        ----------
        X : array-like, (n, F), or a list of them, or (S, n, F)
        y : array-like, (n,) or (n, C), or a list of them
        sample_weight : array-like, (n,), or a list of them, optional
        session_sizes, sessions : optional
            As in `fit`.
        skip : int, optional
            Rows at the start of each record that are measured and not scored: at least as many as the largest lag,
            which is the default. Models with other lags are compared on the same rows if it is the same for all.

        Returns
        -------
        float
            ``1 - sum (y - yhat)^2 / sum (y - mean y)^2`` over the scored rows, its mean over outputs.

        Raises
        ------
        ArgumentError
            If `skip` is less than the largest lag, or `sample_weight` is not for each row.
        SeriesTooShortError
            If no record has more rows than are skipped.
        """
        # scikit-learn's metrics bring in half of the rest of it.
        from sklearn.metrics import r2_score

        check_is_fitted(self, "model_")
        records = Given.of(X, y, session_sizes, sessions)
        inputs, targets, sizes = self._both("score(X, y, session_sizes=session_sizes)", records)
        weight = check_weight(records.joined(sample_weight), len(inputs))
        lead = rows_to_skip(skip, self.model_.layout.reach)
        given, first = np.minimum(sizes, lead), np.cumsum(sizes) - sizes
        scored = ragged_rows(first + given, sizes - given)
        if not len(scored):
            raise SeriesTooShortError(
                f"n_samples={len(inputs)}: the first {lead} rows of each record start the simulation, and none is "
                f"left to score; give more rows."
            )
        heads = [targets[f : f + n] for f, n in zip(first, given, strict=True)]
        yhat, clipped = self._simulator.simulate(inputs, sizes, heads)
        warn_of_clipping("records", clipped, self._rolling_.guard.factor)
        weight = None if weight is None else weight[scored]
        return float(r2_score(targets[scored], yhat[scored], sample_weight=weight))

    def _shown(self) -> FloatArray:
        check_context(self._rolling_.context_length)
        coder, rows = self._rolling_.coder, np.arange(_SHOWN)[:, None]
        X = self.x_mean_ + (0.0 if coder is None else coder.spread) * np.sin(rows * (1 + np.arange(len(self.x_mean_))))
        return np.asarray(self.simulate([X], "rest").y)

    # ---- records as panels

    def _both(self, call: str, given: Given) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return inputs (n, F), outputs (n, C) and rows of each record, checked against what was fitted."""
        check_no_gaps(call, given)
        check_order("y", given.y, self.output_names_)
        X, y = validate_data(self, given.X, given.y, reset=False, dtype=np.float64, multi_output=True)
        targets = numbers("y", y)
        if targets.shape[1] != len(self.y_mean_):
            raise ArgumentError(
                f"y has {targets.shape[1]} outputs, but {type(self).__name__} was fitted to {len(self.y_mean_)}; give "
                f"the same."
            )
        return X, targets, given.sizes(len(X))

    @property
    def _simulator(self) -> Simulator:
        return Simulator(self._rolling_, self.y_mean_, self.y_scale_)
