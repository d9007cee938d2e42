"""lag_vector: the one place where a model's input is assembled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tsforce.dynamics.recurrence import PartialWindow, Recurrence

__all__ = ["BLOCKS", "Inputs", "LagLayout", "TargetFeature", "known_inputs", "lag_vector", "lag_vectors"]

# past_exog, future_exog, static, calendar and memory of windows: see `known_inputs`.
Inputs = tuple[Tensor, ...]

BLOCKS = ("target_lags", "target_features", "past_exog", "future_exog", "static", "calendar", "steps")

# Groups of steps that are told apart at most: each has linear weights of its own.
_MOST_GROUPS = 8


@dataclass(frozen=True)
class TargetFeature:
    """A pure function of the lag buffer, recomputed at every step from what was fed.

    Attributes
    ----------
    names : tuple of str
        One per column it adds.
    reach : int
        How many steps of the buffer it reads.
    function : callable
        Maps the last `reach` fed values (G, B, reach, C), oldest first, model units, to (G, B, len(names)).
    weights : tuple of float, optional
        Weights of the last `reach` values, oldest first, where every column is that linear map of a target, one column
        for each; None: it is not known to be one.

    Examples
    --------
    >>> mean = TargetFeature(("mean3",), 3, lambda fed: fed.mean(dim=2))
    >>> mean.function(torch.tensor([[[[1.0], [2.0], [6.0]]]])).item()
    3.0
    """

    names: tuple[str, ...]
    reach: int
    function: Callable[[Tensor], Tensor]
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class LagLayout:
    """Which columns a lag vector has, in fixed blocks.

    Target lags run from the oldest to the newest, channel fastest: a contiguous set of lags is then a view of the
    buffer.

    Attributes
    ----------
    lags : tuple of int
        Positive offsets of the target, ascending. None: a map of inputs alone. Of a layout that looks ahead, those of
        the steps between the cutoff and the one to be predicted, ``1 - ahead .. 0``, may be among them.
    channels : tuple of str
        Names of the C targets.
    features : tuple of TargetFeature, PartialWindow or Recurrence
    past_exog, future_exog : tuple of (name, offsets)
        Inputs and the offsets at which each is read, ascending; 0 is the step to be predicted itself.
    static, calendar : tuple of str
        Columns that say the same at every step, and what the stamp itself says.
    known_until : tuple of int
        Steps after the cutoff, ascending, that are the last of a group in which the same past inputs are known; one
        more group has all steps after them. An indicator for each group is the last block, "steps". Empty: one group.
    ahead : int
        Steps by which lags, features and past inputs lie further back than their offsets say: all of them are then
        known so many steps before the step before the one to be predicted.
    """

    lags: tuple[int, ...]
    channels: tuple[str, ...] = ("y",)
    features: tuple[TargetFeature | PartialWindow | Recurrence, ...] = ()
    past_exog: tuple[tuple[str, tuple[int, ...]], ...] = ()
    future_exog: tuple[tuple[str, tuple[int, ...]], ...] = ()
    static: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    known_until: tuple[int, ...] = ()
    ahead: int = 0

    def by_known_steps(self, horizon: int) -> LagLayout:
        """Return the layout that tells steps 1..H apart by which past inputs are known there.

        At step h a past lag l is known if l >= h. The last step at which all are is always told apart.

        Examples
        --------
        >>> LagLayout((1,), past_exog=(("x", (2, 4, 9)),)).by_known_steps(6).blocks["steps"]
        ('steps_1_to_2', 'steps_3_to_4', 'steps_from_5')
        """
        found = sorted({lag for _, lags in self.past_exog for lag in lags if lag < horizon})
        if len(found) >= _MOST_GROUPS:
            most = _MOST_GROUPS - 1
            found = [found[i * (len(found) - 1) // (most - 1)] for i in range(most)]
        return replace(self, known_until=tuple(found))

    @property
    def of_one_group(self) -> LagLayout:
        """The same without telling steps apart: the last block is left out."""
        return replace(self, known_until=())

    @property
    def n_step_groups(self) -> int:
        """S, the groups of steps."""
        return len(self.known_until) + 1

    def step_groups(self, horizon: int) -> list[range]:
        """Return the steps of each group as positions in a horizon, 0 being the first step after the cutoff."""
        ends = (0, *(min(end, horizon) for end in self.known_until), horizon)
        return [range(first, end) for first, end in itertools.pairwise(ends)]

    @property
    def reach(self) -> int:
        """Steps before the one to be predicted that one lag vector reads; 1 at least, for a roll-out has a cutoff."""
        offsets = (lag for _, lags in (*self.past_exog, *self.future_exog) for lag in lags)
        return max(1, self.target_reach, *offsets) + self.ahead

    @property
    def target_reach(self) -> int:
        """The same of the target alone; 0 if nothing that is fed back is read."""
        return max((*self.lags, *(f.reach for f in self.features)), default=0)

    @property
    def n_target_columns(self) -> int:
        """Columns of lags and features of the targets, which come first."""
        return len(self.lags) * len(self.channels) + sum(len(f.names) for f in self.features)

    @property
    def recurrences(self) -> tuple[Recurrence, ...]:
        """The features that are means of all that was fed."""
        return tuple(f for f in self.features if isinstance(f, Recurrence))

    @property
    def context(self) -> int:
        """Steps that a window has to show, where the series has them: `reach`, and windows that need not be full."""
        return max(self.reach, *(f.lag - 1 + f.span for f in self.features if isinstance(f, PartialWindow)), 0)

    @property
    def knows_begin(self) -> bool:
        """Whether a feature has to know where its series begins: its windows then have a memory."""
        return any(isinstance(f, (PartialWindow, Recurrence)) for f in self.features)

    @property
    def scans(self) -> tuple[Callable[[Tensor, Tensor], Tensor], ...] | None:
        """What makes the means of a memory from all values of a series; None: windows have no memory."""
        return tuple(f.scan for f in self.recurrences) if self.knows_begin else None

    @property
    def n_memory(self) -> int:
        """Values of a window's memory: how many rows its series has before it, and each mean of their targets."""
        return 1 + len(self.recurrences) * len(self.channels) if self.knows_begin else 0

    def at_level(self, level: Tensor) -> Tensor:
        """Return what the columns of lags and features read where targets stand at a level (G, C), (G, columns)."""
        fed = level[:, None, None].expand(-1, -1, self.reach, -1)
        return lag_vector(self, fed, self.reach)[:, 0]

    @property
    def has_inputs(self) -> bool:
        """Whether anything beside the target is read."""
        return bool(self.past_exog or self.future_exog or self.static or self.calendar)

    @property
    def looks_ahead(self) -> bool:
        """Whether anything is read that belongs to a step after the cutoff."""
        return bool(self.future_exog or self.calendar)

    @property
    def is_contiguous(self) -> bool:
        """Whether there are lags, and they leave no step out."""
        return bool(self.lags) and self.lags[-1] - self.lags[0] + 1 == len(self.lags)

    @property
    def blocks(self) -> dict[str, tuple[str, ...]]:
        """Column names of each block, in the order of the columns."""
        filled = {
            "target_lags": tuple(f"{c}_lag{lag}" for lag in reversed(self.lags) for c in self.channels),
            "target_features": tuple(name for f in self.features for name in f.names),
            "past_exog": tuple(f"{name}_lag{lag}" for name, lags in self.past_exog for lag in reversed(lags)),
            "future_exog": tuple(f"{name}_lag{lag}" for name, lags in self.future_exog for lag in reversed(lags)),
            "static": self.static,
            "calendar": self.calendar,
            "steps": self._named_groups(),
        }
        return {block: filled.get(block, ()) for block in BLOCKS}

    def _named_groups(self) -> tuple[str, ...]:
        if not self.known_until:
            return ()
        firsts = (1, *(end + 1 for end in self.known_until))
        inner = (
            f"step_{end}" if first == end else f"steps_{first}_to_{end}"
            for first, end in zip(firsts, self.known_until, strict=False)
        )  # fmt: skip
        return (*inner, f"steps_from_{firsts[-1]}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all D columns."""
        return tuple(name for names in self.blocks.values() for name in names)


def known_inputs(layout: LagLayout, inputs: Inputs | None, horizon: int, warm_up: int = 0) -> Tensor | None:
    """Return the part of the lag vectors of every step that does not depend on what is fed, (G, B, H, Dk).

    Parameters
    ----------
    layout : LagLayout
    inputs : (past_exog, future_exog, static, calendar, and memory where the layout has one) or None
        (G, B, L, P) up to and with the cutoff: a step h that looks at a row after it (offset < h) reads the last one
        observed, so it is at prediction, and so it is in every training window. (G, B, L + H, F) up to and with the
        last step. (G, B, K). (G, B, at least W + H, Q) of the steps themselves. (G, B, M), of before the window.
    horizon : int
        H.
    warm_up : int
        W, steps before the cutoff to return in front: (G, B, W + H, Dk).

    Returns
    -------
    Tensor or None
        None where the layout has no inputs. A memory comes first, which `lag_vector` completes.

    Examples
    --------
    >>> layout = LagLayout((1,), future_exog=(("x", (0, 2)),))
    >>> x = torch.arange(5.0).view(1, 1, 5, 1)
    >>> none = x.new_zeros(1, 1, 3, 0)
    >>> known_inputs(layout, (none, x, x.new_zeros(1, 1, 0), x.new_zeros(1, 1, 5, 0)), 2).tolist()
    [[[[1.0, 3.0], [2.0, 4.0]]]]
    """
    if not layout.has_inputs and not layout.n_memory:
        return None
    assert inputs is not None
    past_exog, future_exog, static, calendar, *memory = inputs
    length = future_exog.shape[2] - horizon
    steps = torch.arange(-warm_up, horizon, device=future_exog.device)
    parts = [part[:, :, None].expand(-1, -1, warm_up + horizon, -1) for part in memory if layout.n_memory]
    for block, source in ((layout.past_exog, past_exog), (layout.future_exog, future_exog)):
        if block:
            column = torch.tensor([c for c, (_, lags) in enumerate(block) for _ in lags], device=source.device)
            offset = torch.tensor([lag for _, lags in block for lag in reversed(lags)], device=source.device)
            back = layout.ahead if block is layout.past_exog else 0
            row = (length + steps[:, None] - offset - back).clamp(max=source.shape[2] - 1)
            parts.append(source[:, :, row, column])
    if layout.static:
        parts.append(static[:, :, None].expand(-1, -1, warm_up + horizon, -1))
    if layout.calendar:
        parts.append(calendar[:, :, calendar.shape[2] - warm_up - horizon :])
    if layout.known_until:
        ends = torch.tensor(layout.known_until, device=steps.device)
        group = torch.bucketize(steps + 1, ends)
        own = one_hot(group, layout.n_step_groups).to(future_exog.dtype)
        parts.append(own.expand(*future_exog.shape[:2], -1, -1))
    return torch.cat(parts, dim=-1)


def lag_vector(
    layout: LagLayout, fed: Tensor, now: int, known: Tensor | None = None, noise: Tensor | None = None
) -> Tensor:
    """Return the model's input for one step.

    The only place where an input is assembled: training, validation, predict and backtest all call it.

    Parameters
    ----------
    layout : LagLayout
    fed : (G, B, T, C)
        The lag buffer: what was fed so far, oldest first, model units. Rows from `now` on are not read.
    now : int
        The row of the buffer that is to be predicted.
    known : (G, B, Dk), optional
        That step's part of `known_inputs`, where the layout has inputs or a memory. Without it, the buffer is all there
        is of its series.
    noise : (G, B, columns of target lags), optional
        Added to the target lags as this vector reads them, and to nothing else.

    Returns
    -------
    (G, B, D)
        ``[target lags | target features | past_exog | future_exog | static | calendar | steps]``; a view of `fed` where
        the lags are contiguous and there is nothing else.

    Examples
    --------
    >>> fed = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    >>> lag_vector(LagLayout((1, 3)), fed, now=3).flatten().tolist()
    [1.0, 3.0]
    """
    now -= layout.ahead
    if layout.is_contiguous:
        lags = fed[:, :, now - layout.lags[-1] : now - layout.lags[0] + 1]
    else:
        lags = fed[:, :, [now - lag for lag in reversed(layout.lags)]]
    target = lags.flatten(start_dim=2)
    if noise is not None:
        target = target + noise
    if not layout.features and known is None:
        return target
    memory, known = (None, known) if known is None else (known[..., : layout.n_memory], known[..., layout.n_memory :])
    features = _features(layout, fed, now, memory if layout.n_memory else None)
    return torch.cat([target, *features, *([] if known is None else [known])], dim=-1)


def _features(layout: LagLayout, fed: Tensor, now: int, memory: Tensor | None) -> list[Tensor]:
    count: Tensor | None = None
    means: Iterator[Tensor] = iter(())
    if memory is not None:
        count, means = memory[..., :1], iter(memory[..., 1:].split(len(layout.channels), dim=-1))

    def read(part: Tensor) -> Tensor:
        # What a function keeps for its gradient outlasts what a roll-out writes to the buffer later.
        return part.clone() if part.requires_grad else part

    return [
        f.over(read(fed[:, :, : now - f.reach + 1]), count, next(means, None))
        if isinstance(f, Recurrence)
        else f.over(read(fed[:, :, : now - f.lag + 1]), count)
        if isinstance(f, PartialWindow)
        else f.function(read(fed[:, :, now - f.reach : now]))
        for f in layout.features
    ]


def lag_vectors(layout: LagLayout, fed: Tensor, first: int, count: int, known: Tensor | None = None) -> Tensor:
    """Return the model's inputs for `count` steps at once, from row `first` of a buffer that is filled, (G, B, W, D).

    Parameters
    ----------
    layout, fed
        As in `lag_vector`, which makes them all in one call.
    first, count : int
        The first row that is to be predicted, and W.
    known : (G, B, W, Dk), optional
        Those steps' part of `known_inputs`.

    Examples
    --------
    >>> fed = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    >>> lag_vectors(LagLayout((1, 2)), fed, 2, 3).tolist()
    [[[[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]]]
    """
    if layout.knows_begin:
        # Each reads all of the buffer before it.
        steps = [None] * count if known is None else known.unbind(dim=2)
        return torch.stack([lag_vector(layout, fed, first + w, own) for w, own in enumerate(steps)], dim=2)
    groups, windows, _, channels = fed.shape
    reach = layout.reach
    # The rows that each step may read, as overlapping views of one buffer: (G B, W, reach, C).
    flat = fed.reshape(groups * windows, -1, channels)[:, first - reach : first + count - 1]
    rows = flat.unfold(1, reach, 1).transpose(2, 3)
    x = lag_vector(layout, rows, reach, None if known is None else known.flatten(0, 1))
    return x.view(groups, windows, count, -1)
