"""Options that ``forecast`` and ``backtest`` share, and what they mean.

What an option says is only split here; names are checked when the models are made. So whatever is wrong with how a
command was typed is told before torch is loaded, which takes more than a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tsforce.errors import ArgumentError, check_choice

if TYPE_CHECKING:
    from tsforce import Forecaster

__all__ = ["data_options", "forecasters", "model_options", "report_option", "split", "threads_option"]

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of torch."
)

report_option = click.option(
    "--report", type=click.Path(path_type=Path), help="A page for the browser, .html: every series, found by name."
)

# Arguments that are settings of one model: who gives one means no automatic choice.
_OF_NARX = ("lags", "mode", "target_transforms", "exog_lags", "short_series")

TRANSFORMS = ("log", "boxcox", "difference", "standardize", "meanscale")


def split(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in an option that may be repeated or hold several, joined by commas."""
    del ctx, param
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


def levels(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    """Return the percents in ``80,95``."""
    del ctx, param
    if value is None:
        return None
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise ArgumentError(f"--level={value!r}: expected percents, such as --level 80,95.") from None


def _sign(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a sign; a tab is hard to type in a shell."""
    del ctx, param
    return "\t" if value in ("\\t", "tab") else value


def _lags(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    del ctx, param
    return value if value in (None, "auto") else _offsets("--lags", str(value))


def _offsets(name: str, text: str) -> int | list[int]:
    """Return what ``24`` (a whole number), ``1,2,24`` or ``1-7,14`` (exactly these) say."""
    if re.fullmatch(r"[0-9]+", text.strip()):
        return int(text)
    found: list[int] = []
    for part in filter(str.strip, text.split(",")):
        span = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", part)
        if span is None or int(span[1]) > int(span[2] or span[1]):
            raise ArgumentError(
                f"{name}={text!r}: {part!r} is neither a whole number nor a span such as 1-7; write for example 24 for "
                f"all of 1 to 24, or exactly those you mean: 1,2,24 or 1-7,14."
            )
        found += range(int(span[1]), int(span[2] or span[1]) + 1)
    if not found:
        raise ArgumentError(f"{name}={text!r} names none; write for example 24, or 1,2,24.")
    return found


def _exog_lags(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Any:
    """Return one setting for all inputs, or a dict of column -> setting."""
    del ctx, param
    parts = [text.rpartition(":") for text in value]
    if not parts:
        return None
    if len(parts) == 1 and not parts[0][1]:
        return _offsets("--exog-lags", parts[0][2])
    if not all(colon for _, colon, _ in parts):
        raise ArgumentError(
            f"--exog-lags {' '.join(value)}: several settings need a column each, as in temperature:0,1,24."
        )
    return {column.strip(): _offsets("--exog-lags", offsets) for column, _, offsets in parts}


def _freq(ctx: click.Context, param: click.Parameter, value: str) -> str | int:
    del ctx, param
    return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else value


def _decorated(command: Callable[..., None], options: tuple[Callable[..., Any], ...]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options about what is in the file, and how it is written."""
    return _decorated(
        command,
        (
            click.option("--id-col", default="unique_id", show_default=True, help="Column of the series' names."),
            click.option(
                "--time-col", help="Column of the time stamps or steps.  [default: ds, or the only one of dates]"
            ),
            click.option("--target-col", help="Column to forecast.  [default: y, or the only one of numbers]"),
            click.option(
                "--past-exog", multiple=True, callback=split, help="Input columns known up to now; joined by commas."
            ),
            click.option(
                "--future-exog", multiple=True, callback=split, help="Input columns known over the horizon too."
            ),
            click.option("--static", multiple=True, callback=split, help="Columns that never change within a series."),
            click.option(
                "--freq",
                default="infer",
                show_default=True,
                callback=_freq,
                help="h, D, W-SUN, MS, ...; a whole number for steps.",
            ),
            click.option(
                "--fill-gaps",
                metavar="METHOD",
                help="Fill missing rows and values: interpolate, ffill, seasonal, or a number.",
            ),
            click.option(
                "--sep", default=",", show_default=True, callback=_sign, help="Between the fields of a csv file."
            ),
            click.option("--decimal", default=".", show_default=True, help="Decimal sign of a csv file."),
            click.option("--thousands", help="Separator of thousands in a csv file.  [default: none]"),
            click.option(
                "--time-format", help="Such as '%d/%m/%Y %H:%M'.  [default: ISO 8601 (2024-12-31), or whole numbers]"
            ),
            click.option(
                "--tz", help="Zone of the stamps, such as Europe/Berlin: hours, days and --calendar go by its clock."
            ),
            click.option("--encoding", default="utf-8", show_default=True, help="Of a csv file."),
        ),
    )


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options about how models are made."""
    return _decorated(
        command,
        (
            click.option(
                "--season-length", type=click.IntRange(min=1), help="Steps of one season.  [default: by the frequency]"
            ),
            click.option(
                "--lags",
                callback=_lags,
                help="24 for 1 to 24, or exactly these: 1,2,24 or 1-7,14; 0 for inputs alone.  [default: auto]",
            ),
            click.option("--mode", help="auto, open_loop, closed_loop or curriculum.  [default: auto]"),
            click.option(
                "--transform",
                multiple=True,
                callback=split,
                help="Of the target, in this order: log, boxcox, difference[:LAG], standardize, meanscale.",
            ),
            click.option(
                "--calendar",
                multiple=True,
                callback=split,
                help="What the time stamps say: hour, dayofweek, month, dayofyear, weekend, ...",
            ),
            click.option(
                "--exog-lags",
                multiple=True,
                callback=_exog_lags,
                metavar="[COLUMN:]LAGS",
                help="At which offsets inputs are read, 0 being the step itself.  [default: 0; 1 of --past-exog]",
            ),
            click.option(
                "--short-series",
                type=click.Choice(["raise", "drop"]),
                help="What to do with a series that is too short.  [default: raise]",
            ),
            click.option(
                "--budget",
                type=click.Choice(["fast", "balanced", "accurate"]),
                help="How much --model auto tries.  [default: balanced]",
            ),
            click.option(
                "--time-limit", type=click.FloatRange(min=0, min_open=True), help="Seconds for --model auto, about."
            ),
            click.option(
                "--candidates",
                multiple=True,
                callback=split,
                help="Families that --model auto tries: theta, linear, mlp, lightgbm, ...; auto for its own besides.",
            ),
            click.option("--seed", type=click.IntRange(min=0), help="Of everything that is drawn.  [default: 0]"),
            threads_option,
        ),
    )


def _transforms(texts: tuple[str, ...]) -> list[Any]:
    import tsforce

    classes = dict(zip(TRANSFORMS, ("Log", "BoxCox", "Difference", "Standardize", "MeanScale"), strict=True))
    found = []
    for text in texts:
        name, _, lag = text.lower().partition(":")
        made = getattr(tsforce, classes[check_choice("--transform", name.strip(), TRANSFORMS)])
        if lag and (name != "difference" or not lag.isascii() or not lag.isdigit()):
            raise ArgumentError(f"--transform={text!r}: only difference takes a number, the lag, as in difference:24.")
        found.append(made(int(lag)) if lag else made())
    return found


def forecasters(names: tuple[str, ...], horizon: int, options: dict[str, Any]) -> dict[str, Forecaster]:
    """Return what is named, set up by the options.

    Raises
    ------
    ArgumentError
        If a name is not known, or an option is given that none of the models can use.
    """
    from tsforce.cli.model_names import DEFAULT, OF_AUTO, SETTABLE, flags, make
    from tsforce.data.calendar import CALENDAR
    from tsforce.forecasting.arguments import MODES

    if options["mode"] is not None:
        check_choice("--mode", options["mode"], MODES)
    for name in options["calendar"]:
        check_choice("--calendar", name, CALENDAR)
    shared = {name: options[name] for name in ("freq", "id_col", "time_col", "target_col")}
    if options["season_length"] is not None:
        shared["season_length"] = options["season_length"]
    own = {
        "lags": options["lags"],
        "mode": options["mode"],
        "target_transforms": _transforms(options["transform"]),
        "calendar": options["calendar"],
        "past_exog": options["past_exog"],
        "future_exog": options["future_exog"],
        "static": options["static"],
        "exog_lags": options["exog_lags"],
        "short_series": options["short_series"],
        "random_state": options["seed"],
        "budget": options["budget"],
        "time_limit": options["time_limit"],
        "candidates": list(options["candidates"]),
    }
    own = {name: value for name, value in own.items() if value is not None and value not in ((), [])}
    if not names:
        names = (SETTABLE if any(name in own for name in _OF_NARX) else DEFAULT,)
    of_auto = [name for name in OF_AUTO if name in own]
    if of_auto and DEFAULT not in names:
        raise ArgumentError(f"{flags(of_auto)}: only --model auto has it. Leave it out, or add --model auto.")
    made = [make(name, {"horizon": horizon, **shared}, own) for name in names]
    idle = [name for name in own if name not in ("short_series", "random_state", *OF_AUTO)]
    if idle and all(model.is_baseline for model in made):
        raise ArgumentError(
            f"{', '.join(model.name for model in made)}: a reference method has no use for {flags(idle)}. Leave it "
            f"out, or name a model, such as --model narx."
        )
    return {model.name: model for model in made}
