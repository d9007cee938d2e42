#!/usr/bin/env bash
# pandas 3.1.1, stamps a month apart that are no month's first or last day (bills on the 15th, readings on the 31st).
# Guess: infer_freq names a monthly frequency with a day; DateOffset(months=1) comes back to the 31st.
# What comes: infer_freq says None for the 15ths of a year. A range by DateOffset(months=1) from 31 January steps from
# each point to the next, so it sticks at the 29th after February; with day=31 as well it comes back. For three stamps
# of 15 March around no leap day, infer_freq answers 365D.
# In tsforce: months from any day on are told and taken as freq=; a clock counts from its first stamp, not from the last.
source "$(dirname "$0")/common.sh"
with pandas==3.1.1
run <<'P'
import warnings
import pandas as pd
warnings.simplefilter("ignore")
bills = pd.DatetimeIndex([f"2024-{m:02d}-15" for m in range(1, 13)])
sticks = pd.date_range("2024-01-31", periods=4, freq=pd.DateOffset(months=1))
comes_back = pd.date_range("2024-01-31", periods=4, freq=pd.DateOffset(months=1, day=31))
years = pd.DatetimeIndex(["2021-03-15", "2022-03-15", "2023-03-15"])
found = pd.infer_freq(bills), sticks.day.tolist(), comes_back.day.tolist(), pd.infer_freq(years)
print(pd.__version__, *found)
assert pd.__version__ == "3.1.1"
assert found == (None, [31, 29, 29, 29], [31, 29, 31, 30], "365D")
P
