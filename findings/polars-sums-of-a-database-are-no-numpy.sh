#!/usr/bin/env bash
# polars 2.1.0, a column of 128-bit whole numbers, as sums of a database come.
# Guess: to_numpy gives int64 where all values fit, or objects.
# What comes: InvalidOperationError, whatever the values; cast(Int64) first.
# In tsforce: 128-bit whole numbers are read, and refused by name where one does not fit.
source "$(dirname "$0")/common.sh"
with polars==2.1.0 numpy==2.4.6
run <<'P'
import polars as pl
total = pl.Series("sales", [3, 4]).cast(pl.Int128)
try:
    answer = total.to_numpy().dtype
except pl.exceptions.InvalidOperationError as error:
    answer = f"{type(error).__name__}"
print(pl.__version__, total.dtype, "->", answer, "; after cast:", total.cast(pl.Int64).to_numpy().tolist())
assert pl.__version__ == "2.1.0"
assert answer == "InvalidOperationError"
P
