"""Public door to system identification: how well a model simulates, residual tests, responses, roots."""

from tsforce.identification.gaps_in_records import without_gaps
from tsforce.identification.identification_report import IdentificationReport, identification_report
from tsforce.identification.linear_part import LinearPart
from tsforce.identification.linear_response import (
    FrequencyResponse,
    Stability,
    StepResponse,
    frequency_response,
    stability,
    step_response,
)
from tsforce.scoring.simulation import fit_percent, nrmse, simulation_rmse

__all__ = [
    "FrequencyResponse",
    "IdentificationReport",
    "LinearPart",
    "Stability",
    "StepResponse",
    "fit_percent",
    "frequency_response",
    "identification_report",
    "nrmse",
    "simulation_rmse",
    "stability",
    "step_response",
    "without_gaps",
]
