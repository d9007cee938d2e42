#!/usr/bin/env bash
# scikit-learn 1.9.1, cross_validate(params={...}) with a list that is not as long as the rows: lengths of records.
# Guess: an error, since no fold has rows for it; or it is cut like the rows.
# What comes: lists of the rows' length are cut, any other length goes whole to every fold, without a word. Three lengths
# that add up to 240 rows reach a fold of 140 as they are; a regressor that does not add them up learns across records.
# In tsforce: session_sizes that do not add up are refused, or matched to whole records with a warning; sessions= has a
# label per row, which folds cut.
source "$(dirname "$0")/common.sh"
with scikit-learn==1.9.1 numpy==2.4.6 scipy
run <<'P'
import numpy as np
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import LeaveOneGroupOut, cross_validate

seen = []


class Records(RegressorMixin, BaseEstimator):
    def fit(self, X, y, sizes=None, labels=None):
        seen.append((len(X), list(sizes), len(labels)))
        return self

    def predict(self, X):
        return np.zeros(len(X))


X, groups = np.zeros((240, 1)), np.repeat([0, 1, 2], [100, 80, 60])
cross_validate(
    Records(), X, np.arange(240.0), groups=groups, cv=LeaveOneGroupOut(),
    params={"sizes": [100, 80, 60], "labels": groups},
)
print(sklearn.__version__, *seen)
assert sklearn.__version__ == "1.9.1"
assert seen == [(140, [100, 80, 60], 140), (160, [100, 80, 60], 160), (180, [100, 80, 60], 180)]
P
