"""Training: what matters only to training by gradient, as one object beside the model; old names work once more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from sklearn.base import BaseEstimator

from tsforce.errors import ArgumentError, ArgumentTypeError, did_you_mean, warn
from tsforce.training.losses import THRESHOLD

if TYPE_CHECKING:
    from tsforce.forecasting.history_frame import TrainingHistory

__all__ = ["HasTraining", "Training", "takes_old_names", "training_of"]

_PREFIX = "training__"

Init = TypeVar("Init", bound=Callable[..., None])


class _KnownNames:
    """Refuses keywords that are no field, and names the nearest one."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        del args
        for name in given:
            if name not in FIELDS:
                raise ArgumentTypeError(_unknown(name))
        return super().__new__(cls)


@dataclass(frozen=True, kw_only=True, repr=False)
class Training(_KnownNames):
    """How a model is trained by gradient: settings of ``NARXForecaster`` and ``NARXRegressor``, as ``training=``.

    Least squares, and a regressor that fits itself, look at `validation` alone, and at that only where they choose;
    least squares also at `huber_threshold`.
    An object never changes; what ``set_params(training__learning_rate=0.01)``, a search or ``tune`` sets is another
    one. Values are checked by ``fit``.

    Parameters
    ----------
    solver : "auto", "adamw", "levenberg_marquardt" or "moments"
        What trains a model that has a gradient. "auto" is AdamW for a forecaster, but least squares for linear maps and
        polynomials in open loop. "moments" (L-BFGS on moments of all roll-outs, of squares or Huber's loss; no row is
        read while weights move) is what "auto" means for linear maps of the lags of one target without missing values
        in modes "closed_loop", "curriculum" and "auto", unless an argument asks for what it does not do. For linear
        maps, polynomials and small smooth networks (``tsforce.models.MLP((32,), "tanh")``) "levenberg_marquardt" takes
        few and costly steps on squares instead, in float64: one step ahead from the warm start, then, under any other
        mode, on roll-outs. A ``NARXRegressor`` takes it by itself for such models of at most 2000 weights, unless an
        argument asks for what it does not do.
    learning_rate : "auto" or float
        Peak rate of AdamW; "auto" is .0001 for a linear model per series, .01 for a pooled one and for a pooled
        recurrent network, .001 for other networks.
    batch_size : "auto" or int
        Windows per step: of each series for scope="local" ("auto": 32), of all for "global" (1024; recurrent networks
        256). Levenberg-Marquardt uses all there are, or draws so many afresh every 5 iterations ("auto": 20 residuals
        per weight, and no fewer than 20000 one step ahead, 256 on roll-outs).
    time_limit : float, optional
        CPU seconds after which a run (each phase of it; 64 series at a time for scope="local") ends where it is. What
        then comes out depends on the machine.
    validation : "auto", False, int (NARXForecaster) or float (NARXRegressor)
        What is held out at the end of each series, or record, to choose the number of steps and, in mode="auto", what
        is kept; the choice is then trained once more on all rows. False: nothing, and all steps are taken.

        Of a forecaster, a number of windows; "auto": 1 for scope="global" with 10 series or more, else up to 4, on
        moments up to 8 of a series as long as half of what it could hold out is left. On moments, what own outputs
        taught is kept only where a paired t-test over the windows (one-sided, 2.5 %) finds it better than open loop.

        Of a regressor, a share of the rows, "auto" .2, simulated as one window from the measured outputs before it,
        however long; errors are means over records. A record that has settled by then (a step test, a ring-down) is
        simulated from its start until it did, and all of it is learnt from. (Where mode="auto" compares, a window
        counts as up to ten pieces of four steps or more.)
    huber_threshold : float
        Of ``loss="huber"``: k, in robust scales s, 1.4826 times the median absolute error. Errors up to k s count by
        their squares, larger ones by their size. Of closed forms, s is that of each series and target one step ahead,
        over the rows that are learnt from; on moments, of each series and step, of the start's roll-outs. AdamW takes
        it afresh at every step from the errors of its windows, over all steps of the horizon, for each model and
        target, in the units that `loss_space` says.
    loss_space : "model" or "level"
        Take the loss in model units, or on original units over the series' seasonal-naive scale; AdamW's.
    penalty : float
        Of Levenberg-Marquardt: half of it times the sum of squared weights is added to the mean of squares (Tikhonov).
    initial_outputs : "measured" or "free"
        What training roll-outs start on. "free": outputs that Levenberg-Marquardt learns with the weights, window by
        window, held near the measured ones by their own squared errors, for outputs with noise (multiple shooting, Bock
        1981; errors in variables). Prediction is as ever.
    initial_weight : float
        Of these errors, in weights of the others: the variance of the noise on later outputs over that on initial ones.
    processes : None or "torchrun"
        Share the work of training with the other processes of ``torch.distributed``, all of which make the same call on
        the same rows: started by ``torchrun``, or joined before by the script. None: each process trains by itself.

    Examples
    --------
    >>> from tsforce import NARXForecaster, Training
    >>> model = NARXForecaster(12, 24, model="mlp", training=Training(learning_rate=0.01, time_limit=60))
    >>> model.set_params(training__batch_size=64).training
    Training(learning_rate=0.01, batch_size=64, time_limit=60)
    """

    solver: str = "auto"
    learning_rate: float | str = "auto"
    batch_size: int | str = "auto"
    time_limit: float | None = None
    validation: float | str | bool = "auto"
    huber_threshold: float = THRESHOLD
    loss_space: str = "model"
    penalty: float = 0.0
    initial_outputs: str = "measured"
    initial_weight: float = 1.0
    processes: str | None = None

    def __repr__(self) -> str:
        told = {f.name: getattr(self, f.name) for f in fields(self) if repr(getattr(self, f.name)) != repr(f.default)}
        return f"Training({', '.join(f'{name}={value!r}' for name, value in told.items())})"


FIELDS = tuple(field.name for field in fields(Training))


def _unknown(name: str) -> str:
    return f"Training has no {name!r}; it has: {', '.join(map(repr, FIELDS))}.{did_you_mean(name, FIELDS)}"


def training_of(value: Any) -> Training:
    """Return what ``training=`` stands for: the defaults for None, a dict of fields as an object.

    Raises
    ------
    ArgumentTypeError
        If it is none of these, or a dict with a key that is no field.
    """
    if value is None:
        return Training()
    if isinstance(value, Training):
        return value
    if isinstance(value, Mapping):
        return Training(**value)
    raise ArgumentTypeError(
        f"training={value!r}: expected a tsforce.Training, such as Training(learning_rate=0.01), or a dict of its "
        f"fields."
    )


class HasTraining(BaseEstimator):
    """An estimator with ``training=``, whose fields ``get_params``, ``set_params`` and searches reach by name.

    Until the next version the fields are taken as parameters of the estimator's own too, with a FutureWarning.
    """

    training: Any
    # What each fit leaves behind, for type checkers.
    history_: TrainingHistory
    mode_: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with `deep` those of ``model`` and ``training`` too: training__solver ..."""
        found: dict[str, Any] = super().get_params(deep)
        # What is no Training is an error of fit.
        with suppress(TypeError):
            own = vars(training_of(self.training)) if deep else {}
            found |= {f"{_PREFIX}{name}": value for name, value in own.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, those of ``training`` as training__solver ...; return the estimator itself.

        Raises
        ------
        ArgumentError, ValueError
            If there is no such parameter.
        """
        changes = {name.removeprefix(_PREFIX): params.pop(name) for name in list(params) if name.startswith(_PREFIX)}
        for name in changes:
            if name not in FIELDS:
                raise ArgumentError(_unknown(name))
        old = {name: params.pop(name) for name in FIELDS if name in params}
        super().set_params(**params)
        if changes:
            self.training = replace(training_of(self.training), **changes)
        _set_old(self, old)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIELDS:
            _warn_of_old(name)
            name, value = "training", replace(training_of(self.training), **{name: value})
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # to a type checker, every attribute would be there

        def __getattr__(self, name: str) -> Any:
            if name not in FIELDS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            _warn_of_old(name)
            return getattr(training_of(self.training), name)


def takes_old_names(init: Init) -> Init:
    """Return a constructor that takes the fields of ``training`` as keywords of its own too, with a FutureWarning.

    Its signature stays as it is. A keyword that is neither is an ArgumentTypeError that names the nearest one.
    """
    accepted = tuple(inspect.signature(init).parameters)[1:]

    @wraps(init)
    def taking(self: HasTraining, *args: Any, **given: Any) -> None:
        old = {name: given.pop(name) for name in FIELDS if name in given}
        for name in given:
            if name not in accepted:
                hint = did_you_mean(name.removeprefix(_PREFIX), (*accepted, *FIELDS), _spelt)
                raise ArgumentTypeError(f"{type(self).__name__}() has no argument {name!r}.{hint}")
        init(self, *args, **given)
        _set_old(self, old)

    return cast(Init, taking)


def _set_old(estimator: HasTraining, old: Mapping[str, Any]) -> None:
    for name, value in old.items():
        setattr(estimator, name, value)


def _spelt(name: str) -> str:
    """Return how an argument is written in a constructor's call."""
    return f"training=Training({name}=...)" if name in FIELDS else repr(name)


def _warn_of_old(name: str) -> None:
    warn(
        f"{name} is now part of training: write {_spelt(name)}, and training__{name} in set_params, searches and tune. "
        f"The old name goes with the next version.",
        FutureWarning,
    )
