#!/usr/bin/env bash
# pandas 3.1.1, to_datetime(format="mixed") on dates written day first (02.01.2024 ...).
# Guess: the column is read one way, month first or day first, or refused.
# What comes: each cell is guessed by itself, without a warning: days up to the 12th change places with the month, the
# others stay. 22 of the first 60 days of 2024 land elsewhere, and the series is still 60 distinct stamps.
# In tsforce: no repair that a message names uses format="mixed"; dates written day first are told format="%d.%m.%Y".
source "$(dirname "$0")/common.sh"
with pandas==3.1.1
run <<'P'
import warnings
import pandas as pd
warnings.simplefilter("error")
days = pd.date_range("2024-01-01", periods=60)
read = pd.to_datetime(days.strftime("%d.%m.%Y"), format="mixed")
moved = int((read != days).sum())
print(pd.__version__, "moved:", moved, "of 60; distinct:", read.nunique(), "; 2 January became", read[1].date())
assert pd.__version__ == "3.1.1"
assert (moved, read.nunique()) == (22, 60)
assert str(read[1].date()) == "2024-02-01"
P
