"""identification_report: how well a model of a system simulates, and what its residuals say it has missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.errors import ArgumentError, ArgumentTypeError, check_choice
from tsforce.forecasting.arguments import is_whole
from tsforce.identification.gaps_in_records import check_no_gaps
from tsforce.identification.residual_tests import INPUT, LATER_INPUT, OWN_PAST, judge_residuals
from tsforce.identification.sessions import Given
from tsforce.notebook import card, paragraphs, side_by_side, table
from tsforce.scoring.simulation import fit_percent, nrmse, simulation_rmse

__all__ = ["IdentificationReport", "default_names", "identification_report", "of_pipeline"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# A gap up to this needs no word; correlations that are looked at where nothing else is asked for.
_SMALL_GAP = 1.5
# Errors above so many times that of the mean are no simulation any more.
_DIVERGED = 10
# Fewest rows of a record that are scored.
_LAGS, _FEWEST = 25, 8
# What notebooks show.
_SCORES = {"output": "output", "rmse": "RMSE", "fit_percent": "fit %", "one_step_rmse": "one-step", "gap": "gap"}
_TESTS = {"output": "output", "test": "residuals against", "input": "input", "p": "p", "passed": "passed"}


@dataclass(frozen=True, eq=False)
class IdentificationReport:
    """How well a model simulates some records, and tests of its one-step residuals on the same rows.

    Attributes
    ----------
    name : str
    scores : DataFrame
        One row per output: output, n (rows scored), skip, rmse, nrmse, fit_percent (closed loop), one_step_rmse, gap
        (rmse / one_step_rmse). RMSE in the output's units.
    tests : DataFrame
        One row per joint test: output, test, input, lags, statistic, degrees, p, passed. "own past" asks whether
        residuals are white (Ljung and Box); "input" whether they owe anything to an input up to so many rows before;
        "later input" the same of rows after, which is feedback in the data. p is NaN where nothing varies.
    correlations : DataFrame
        output, input (missing: the residuals' own past), lag (rows before; below 0: after), correlation, bound,
        outside.
    simulation : DataFrame
        record, row, then for each output <output>, <output>_simulated, <output>_one_step; all rows.
    level : float
        Of bounds and tests.
    mode : str or None
        What the model was trained in, where it says so.

    Examples
    --------
    >>> import numpy as np
    >>> class Half:
    ...     '''y[t] = .5 y[t-1] + u[t], from rest.'''
    ...     def predict(self, X, y_init=None):
    ...         y = list(y_init)
    ...         for u in X[len(y):, 0]:
    ...             y.append(0.5 * y[-1] + u)
    ...         return np.array(y)
    ...     def one_step(self, X, y):
    ...         return X[:, 0] + 0.5 * np.append(0.0, y[:-1])
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 1))
    >>> y = Half().predict(X, [0.0]) + 0.1 * rng.normal(size=400)
    >>> report = identification_report(Half(), X, y, skip=5)
    >>> report.scores[["output", "n", "skip", "fit_percent"]].round(1).values.tolist()
    [['y', 395, 5, 91.4]]
    >>> report.tests[["test", "passed"]].values.tolist()
    [['own past', False], ['input', True], ['later input', True]]
    """

    name: str
    scores: pd.DataFrame
    tests: pd.DataFrame
    correlations: pd.DataFrame
    simulation: pd.DataFrame
    level: float
    mode: str | None = None
    _outputs: tuple[str, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return self.words()

    def _repr_html_(self) -> str:
        both = side_by_side(
            table(self.scores.to_dict("records"), _SCORES), table(self.tests.to_dict("records"), _TESTS)
        )
        return card(f"identification_report: {self.name}", both, paragraphs(map(self._words, self._outputs)))

    def words(self) -> str:
        """Return one paragraph for each output: errors, tests, and what may help."""
        return "\n\n".join(self._words(output) for output in self._outputs)

    def plot(self, kind: str = "residuals", *, output: str | None = None, record: int = 0, ax: Any = None) -> Any:
        """Return a figure (extra ``plot``).

        Parameters
        ----------
        kind : "residuals" or "simulation"
            The correlations with their bounds; or simulated over measured with the error below.
        output : str, optional
            By default the first.
        record : int
            Of "simulation": which.
        ax : matplotlib Axes, optional
            One for each panel: of "residuals" one more than there are inputs, of "simulation" two.

        Raises
        ------
        ArgumentError
            If the output or the record is not there.
        """
        check_choice("kind", kind, ("residuals", "simulation"))
        output = self._outputs[0] if output is None else check_choice("output", output, self._outputs)
        from tsforce.plotting import plot_residuals, plot_simulation

        if kind == "residuals":
            own = self.correlations["output"] == output
            return plot_residuals(self.correlations[own], level=self.level, title=f"{self.name}, {output}", ax=ax)
        rows = self.simulation[self.simulation["record"] == record]
        if rows.empty:
            last = int(self.simulation["record"].max())
            raise ArgumentError(f"record={record!r} is not there; expected 0 to {last}.")
        scores = self.scores.set_index("output").loc[output]
        names = {f"{output}_simulated": "simulated", output: "measured"}
        frame = rows[["row", *names]].rename(columns=names)
        return plot_simulation(frame, name=self.name, output=output, skip=int(scores["skip"]), ax=ax)

    # ---- words

    def _words(self, output: str) -> str:
        row = self.scores.set_index("output").loc[output]
        head = f"{self.name}, {output}:" if len(self._outputs) > 1 else f"{self.name}:"
        start = f"after {row['skip']:.0f} measured at the start" if row["skip"] else "from the start"
        varies = bool(self.simulation.loc[self.simulation["row"] >= row["skip"], output].nunique() > 1)
        fit, units = f"it fits {row['fit_percent']:.1f} %", f"{row['rmse']:.4g} in units of {output}"
        said = [
            f"{head} simulated over {row['n']:.0f} rows, {start}, "
            f"{f'{fit} (RMSE {units})' if varies else f'its RMSE is {units}'}; one step ahead, on the same rows, "
            f"{'its RMSE' if varies else 'it'} is {row['one_step_rmse']:.4g}."
        ]
        if not varies:
            said.append("The measured output does not vary: there is no fit percent.")
        if not np.isnan(row["gap"]):
            said.append(f"That is an exposure gap of {row['gap']:.2f}: compare it between models, never with 1.")
        if not np.isfinite(row["rmse"]) or (varies and row["nrmse"] > _DIVERGED):
            said.append("The simulation diverged.")
        tests = self.tests[self.tests["output"] == output]
        white = tests[tests["test"] == OWN_PAST].iloc[0]
        own = self._correlations(output, None)
        if pd.isna(white["passed"]):
            return " ".join([*said, "Its one-step residuals do not vary: there is nothing to test."])
        said.append(_of_whiteness(white, own, self.level))
        due = tests[(tests["test"] == INPUT) & ~tests["passed"].fillna(True)]
        for _, test in due.iterrows():
            said.append(_of_input(test, self._correlations(output, test["input"])))
        tested = tests[(tests["test"] == INPUT) & tests["passed"].notna()]
        if len(tested) and due.empty:
            names = " and ".join(tested["input"])
            said.append(f"They owe nothing to {names} that a linear test finds (p {_p(tested['p'].min())}).")
        back = tests[(tests["test"] == LATER_INPUT) & ~tests["passed"].fillna(True)]
        if due.empty and len(back):
            names = " and ".join(back["input"])
            said.append(
                f"But later rows of {names} follow them (p {_p(back['p'].min())}): feedback. The input was made from "
                f"the output, which a simulation and a fit in closed loop take to be otherwise."
            )
        if len(back) and due.empty and white["passed"]:
            return " ".join(said)
        return " ".join([*said, self._advice(bool(white["passed"]), due.empty, float(row["gap"]))])

    def _correlations(self, output: str, other: str | None) -> pd.DataFrame:
        table = self.correlations[self.correlations["output"] == output]
        return table[table["input"].isna() if other is None else table["input"] == other]

    def _advice(self, white: bool, clean: bool, gap: float) -> str:
        if not clean:
            loop = "; mode='closed_loop'" if self.mode == "open_loop" and gap > _SMALL_GAP else ""
            return f"To try: more input lags, another input_delay, or a model that is not linear{loop}."
        if white:
            more = (
                ": what the simulation misses beyond that is noise that no input tells of, or errors too small to show "
                "in one step, which add up"
            )
            return f"One step ahead these tests find nothing left{more if gap > _SMALL_GAP else ''}."
        if self.mode not in (None, "open_loop"):
            return "Trained on its own outputs, a model is not asked for white residuals: what counts is the input."
        return (
            "What is left has a memory of its own, which biases a fit to measured outputs: more output_lags may take "
            "it in, mode='closed_loop' does not mind it."
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _of_whiteness(test: pd.Series, own: pd.DataFrame, level: float) -> str:
    count, outside = len(own), int(own["outside"].sum())
    largest = own.loc[own["correlation"].abs().idxmax()]
    verdict = "are white" if test["passed"] else "are not white"
    return (
        f"Its one-step residuals {verdict} (Ljung and Box, lags {test['lags']}: p {_p(test['p'])}); {outside} of "
        f"{count} autocorrelations lie outside their {100 * level:g} % bounds, the largest is "
        f"{largest['correlation']:.2f} at lag {largest['lag']:.0f}."
    )


def _of_input(test: pd.Series, cross: pd.DataFrame) -> str:
    cross = cross[cross["lag"] >= 0]
    largest = cross.loc[cross["correlation"].abs().idxmax()]
    return (
        f"They still owe something to {test['input']} (lags {test['lags']}: p {_p(test['p'])}), most at lag "
        f"{largest['lag']:.0f} with a correlation of {largest['correlation']:.2f}: part of what it does is missed."
    )


def identification_report(
    model: Any,
    X: Any,
    y: Any,
    *,
    skip: int | None = None,
    n_lags: int | None = None,
    level: float = 0.99,
    session_sizes: Sequence[int] | None = None,
    sessions: Any = None,
    name: str | None = None,
) -> IdentificationReport:
    """Return how well a fitted model simulates some records, and tests of its residuals.

    Take records the model was not fitted on: on its own training rows both the fit and the tests flatter it.

    Parameters
    ----------
    model : fitted estimator
        With ``predict(X, y_init)``, its simulation started on the first measured rows, and ``one_step(X, y)``, each row
        from measured outputs before it; for several records both take ``session_sizes`` too. ``NARXRegressor`` has
        them.
    X : array_like or DataFrame, (n, m), or a list of them
        Inputs, rows in time order.
    y : array_like, Series or DataFrame, (n,) or (n, C), or a list of them
        Measured outputs.
    skip : int, optional
        Measured rows at the start of each record that the simulation is given; they are not scored. By default the
        model's largest lag.
    n_lags : int, optional
        Of the tests; 25, or a quarter of the shortest record's scored rows.
    level : float
        Of bounds and tests.
    session_sizes : sequence of int, optional
        Rows of each record, where several stand one below the other.
    sessions : array_like, (n,), optional
        A label for each row instead: another than that of the row before begins a record.
    name : str, optional
        By default the class of the model.

    Raises
    ------
    ArgumentTypeError
        If the model has no ``predict`` or no ``one_step``.
    ArgumentError
        If shapes do not fit, a value is not finite, or too few rows are left.

    Notes
    -----
    The tests are those of Ljung (1999, System Identification, 2nd edition, 16.5 and 16.6), which MATLAB's ``resid``
    draws, except that the bounds of the input's correlations allow for residuals that are not white. They see linear
    traces only: a model may pass them and miss what a nonlinear one would not.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce import NARXRegressor
    >>> rng = np.random.default_rng(0)
    >>> u, y = rng.normal(size=(400, 1)), np.zeros(400)
    >>> for t in range(1, 400):
    ...     y[t] = 0.5 * y[t - 1] + u[t - 1, 0] + 0.1 * rng.normal()
    >>> model = NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u[:200], y[:200])
    >>> report = identification_report(model, u[200:], y[200:], name="ARX")
    >>> report.tests[["test", "passed"]].values.tolist()
    [['own past', True], ['input', True], ['later input', True]]
    """
    for method in ("predict", "one_step"):
        if not callable(getattr(model, method, None)):
            raise ArgumentTypeError(
                f"model is a {type(model).__name__} without {method}(); expected a fitted estimator with predict(X, "
                f"y_init) and one_step(X, y), such as NARXRegressor.{of_pipeline(model)}"
            )
    records = Given.of(X, y, session_sizes, sessions)
    X, y = records.X, records.y
    given, skip = skip, _largest_lag(model) if skip is None else skip
    call = "identification_report(model, X, y, session_sizes=session_sizes)"
    check_no_gaps(call, records, shortest=_FEWEST + (max(0, skip) if is_whole(skip) else 0))
    inputs, outputs = _table("X", X), _table("y", y)
    if len(inputs) != len(outputs):
        raise ArgumentError(
            f"X has {len(inputs)} rows and y {len(outputs)}; expected as many. Cut both to the same samples."
        )
    sizes = records.sizes(len(outputs))
    several = records.listed or session_sizes is not None or sessions is not None
    shortest = int(sizes.min())
    most = shortest - _FEWEST
    if not is_whole(skip) or skip < 0 or (skip > most > 0 and given is not None):
        upto = f"from 0 to {most}" if most > 0 else "of at least 0"
        raise ArgumentError(
            f"skip={skip!r}: expected a whole number {upto}, the measured rows that start the simulation; of the "
            f"shortest record ({shortest} rows) {_FEWEST} at least are to be scored."
        )
    if skip > most:
        raise ArgumentError(
            f"the shortest record has {shortest} rows; expected {skip + _FEWEST} at least, {skip} of them to start the "
            f"simulation on (skip=) and {_FEWEST} to be scored. Give longer records."
        )
    rest = shortest - skip
    n_lags = min(_LAGS, max(1, rest // 4)) if n_lags is None else n_lags
    if not is_whole(n_lags) or not 1 <= n_lags <= rest // 3:
        raise ArgumentError(
            f"n_lags={n_lags!r}: expected a whole number from 1 to {rest // 3}, a third of the {rest} rows of the "
            f"shortest record that are scored."
        )
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0.5 <= level < 1:
        raise ArgumentError(f"level={level!r}: expected a share from 0.5 to below 1, such as 0.99.")
    ends = np.cumsum(sizes)
    begins = [np.asarray(y)[end - size : end - size + skip] for end, size in zip(ends, sizes, strict=True)]
    extra = {"session_sizes": sizes.tolist()} if several else {}
    start = begins if several else begins[0]
    simulated = _like("predict", model.predict(X, start, **extra), outputs)
    ahead = _like("one_step", model.one_step(X, y, **extra), outputs)
    row = np.concatenate([np.arange(size) for size in sizes])
    scored = row >= skip
    others = default_names(model, inputs.shape[1], outputs.shape[1])
    input_names, output_names = _names_of(X, others[0]), _names_of(y, others[1])
    mine = outputs[scored], simulated[scored]
    error = simulation_rmse(*mine)
    one = simulation_rmse(outputs[scored], ahead[scored])
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = error / one
    scores = pd.DataFrame(
        {
            "output": output_names,
            "n": int(scored.sum()),
            "skip": int(skip),
            "rmse": error,
            "nrmse": nrmse(*mine),
            "fit_percent": fit_percent(*mine),
            "one_step_rmse": one,
            "gap": gap,
        }
    )
    with np.errstate(invalid="ignore"):
        residuals = (outputs - ahead)[scored]
    found = judge_residuals(residuals, inputs[scored], sizes - skip, n_lags, level, output_names, input_names)
    columns: dict[str, Any] = {"record": np.repeat(np.arange(len(sizes)), sizes), "row": row}
    for c, output in enumerate(output_names):
        columns |= {output: outputs[:, c], f"{output}_simulated": simulated[:, c], f"{output}_one_step": ahead[:, c]}
    mode = getattr(model, "kept_mode_", getattr(model, "mode_", None))
    return IdentificationReport(
        name or type(model).__name__, scores, found.tests, found.correlations, pd.DataFrame(columns), level,
        mode if isinstance(mode, str) else None, output_names,
    )  # fmt: skip


def default_names(model: Any, n_inputs: int, n_outputs: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of inputs and outputs where no data say them: the model's, else x0, x1, ..., and y or y0, y1, ..."""
    inputs, outputs = (
        tuple(map(str, () if names is None else names))
        for names in (getattr(model, name, None) for name in ("feature_names_in_", "output_names_"))
    )
    if len(inputs) != n_inputs:
        inputs = tuple(f"x{k}" for k in range(n_inputs))
    if len(outputs) != n_outputs:
        outputs = ("y",) if n_outputs == 1 else tuple(f"y{c}" for c in range(n_outputs))
    return inputs, outputs


def of_pipeline(model: Any) -> str:
    """Return what to say to a scikit-learn Pipeline, which hides what its last step can do; to others nothing."""
    if not isinstance(getattr(model, "steps", None), list) or not hasattr(model, "named_steps"):
        return ""
    return (
        " Of a Pipeline, give its last step, model[-1], and inputs as that step sees them, model[:-1].transform(X). "
        "NARXRegressor standardises inputs itself: it needs no scaler before it."
    )


def _names_of(values: Any, others: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns of a frame or Series, else others."""
    if hasattr(values, "columns"):
        return tuple(map(str, values.columns))
    name = getattr(values, "name", None)
    return others if name is None else (str(name),)


def _table(argument: str, values: Any) -> FloatArray:
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{argument} is no table of numbers; expected one row per sample, (n,) or (n, columns)."
        ) from None
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not table.size:
        raise ArgumentError(f"{argument} has shape {table.shape}; expected one row per sample, (n,) or (n, columns).")
    return table


def _like(method: str, values: Any, outputs: FloatArray) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    found = found[:, None] if found.ndim == 1 else found
    if found.shape != outputs.shape:
        raise ArgumentError(
            f"{method}() gave shape {found.shape}; expected {outputs.shape}, one value for each measured one."
        )
    return found


def _largest_lag(model: Any) -> int:
    lags = [getattr(model, name, None) for name in ("output_lags_", "input_lags_")]
    if all(own is None for own in lags):
        raise ArgumentError(
            f"skip=None takes the model's largest lag, and {type(model).__name__} has neither output_lags_ nor "
            f"input_lags_; expected skip=, the number of measured rows that the simulation starts on."
        )
    known = (own.values() if isinstance(own, Mapping) else [own] for own in lags if own is not None)
    return int(max((np.max(each, initial=0) for own in known for each in own), default=0))
