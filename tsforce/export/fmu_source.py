"""The functions of FMI 2.0 and 3.0 around exported C code."""

from __future__ import annotations

from tsforce.export.loop import Loop

__all__ = ["fmu_source"]

_CORE = """
/* FMI VERSION for co-simulation around NAME.c: an instance is a model and the values of its variables. */
#include "NAME.c"
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

enum { OK = 0, DISCARD = 2, ERROR = 3 };
enum { N_IN = NAME_n_future, N_OUT = NAME_n_y, ROW = NAME_n_y + NAME_n_future + NAME_n_past };
enum { VALUES = N_IN + N_OUT + ROWS * ROW };
static const double SAMPLE_TIME = SAMPLE;
static const double DEFAULTS[VALUES] = {
START
};

typedef struct {
    NAME model;
    double value[VALUES], time;
} Instance;

static void *instance(void)
{
    Instance *self = (Instance *)calloc(1, sizeof(Instance));
    if (self) memcpy(self->value, DEFAULTS, sizeof DEFAULTS);
    return self;
}

/* The rows that the model starts behind are parameters, the oldest first. */
static int initialised(Instance *self)
{
    int i, j;
    NAME_clear(&self->model);
REMEMBERED    for (i = 0; i < ROWS; i++) {
        NAME_real row[ROW];
        for (j = 0; j < ROW; j++) row[j] = (NAME_real)self->value[N_IN + N_OUT + i * ROW + j];
        NAME_observe(&self->modelOBSERVED);
    }
    for (j = 0; j < N_OUT; j++) self->value[N_IN + j] = self->value[N_IN + N_OUT + (ROWS - 1) * ROW + j];
    return OK;
}

static int stepped(Instance *self, double size)
{
    double count = floor(size / SAMPLE_TIME + 0.5);
    int j;
    if (count < 1 || fabs(count * SAMPLE_TIME - size) > 1e-6 * SAMPLE_TIME) return DISCARD;
    for (; count > 0; count--) {
        NAME_real y[N_OUT];
AHEAD
        for (j = 0; j < N_OUT; j++) self->value[N_IN + j] = (double)y[j];
    }
    self->time += size;
    return OK;
}

static int read_values(Instance *self, const unsigned int *vr, size_t n, double *value)
{
    size_t i;
    for (i = 0; i < n; i++) {
        if (vr[i] > VALUES) return ERROR;
        value[i] = vr[i] == VALUES ? self->time : self->value[vr[i]];
    }
    return OK;
}

static int write_values(Instance *self, const unsigned int *vr, size_t n, const double *value)
{
    size_t i;
    for (i = 0; i < n; i++) {
        if (vr[i] >= VALUES) return ERROR;
        self->value[vr[i]] = value[i];
    }
    return OK;
}

static int copied(void **to, const void *from)
{
    if (!*to) *to = malloc(sizeof(Instance));
    if (!*to) return ERROR;
    memcpy(*to, from, sizeof(Instance));
    return OK;
}

#define NOT_SUPPORTED(name) EXPORT int name(void); EXPORT int name(void) { return ERROR; }
#define NOTHING_TO_DO(name) EXPORT int name(void *self); EXPORT int name(void *self) { (void)self; return OK; }
#define FUNCTION(type, name, arguments) EXPORT type name arguments; EXPORT type name arguments
"""

_SHARED = """
FUNCTION(const char *, fmi#GetVersion, (void)) { return "VERSION"; }
FUNCTION(void, fmi#FreeInstance, (void *self)) { free(self); }
FUNCTION(int, fmi#ExitInitializationMode, (void *self)) { return initialised((Instance *)self); }
FUNCTION(int, fmi#Reset, (void *self))
{
    memset(self, 0, sizeof(Instance));
    memcpy(((Instance *)self)->value, DEFAULTS, sizeof DEFAULTS);
    return OK;
}
NOTHING_TO_DO(fmi#Terminate)
FUNCTION(int, fmi#GetFMU@tate, (void *self, void **state)) { return copied(state, self); }
FUNCTION(int, fmi#SetFMU@tate, (void *self, void *state)) { return copied(&self, state); }
FUNCTION(int, fmi#FreeFMU@tate, (void *self, void **state)) { (void)self; free(*state); *state = NULL; return OK; }
"""

_TWO = """
FUNCTION(const char *, fmi2GetTypesPlatform, (void)) { return "default"; }
FUNCTION(void *, fmi2Instantiate,
         (const char *name, int type, const char *guid, const char *place, const void *call, int visible, int logging))
{
    (void)name; (void)place; (void)call; (void)visible; (void)logging;
    return type == 1 && strcmp(guid, "TOKEN") == 0 ? instance() : NULL;
}
FUNCTION(int, fmi2SetupExperiment, (void *self, int has, double tolerance, double start, int ends, double stop))
{
    (void)has; (void)tolerance; (void)ends; (void)stop;
    ((Instance *)self)->time = start;
    return OK;
}
NOTHING_TO_DO(fmi2EnterInitializationMode)
FUNCTION(int, fmi2SetDebugLogging, (void *self, int on, size_t n, const char *const *categories))
{
    (void)self; (void)on; (void)n; (void)categories;
    return OK;
}
FUNCTION(int, fmi2GetReal, (void *self, const unsigned int *vr, size_t n, double *value))
{
    return read_values((Instance *)self, vr, n, value);
}
FUNCTION(int, fmi2SetReal, (void *self, const unsigned int *vr, size_t n, const double *value))
{
    return write_values((Instance *)self, vr, n, value);
}
FUNCTION(int, fmi2DoStep, (void *self, double now, double size, int final))
{
    (void)now; (void)final;
    return stepped((Instance *)self, size);
}
NOT_SUPPORTED(fmi2CancelStep) NOT_SUPPORTED(fmi2GetStatus) NOT_SUPPORTED(fmi2GetRealStatus)
NOT_SUPPORTED(fmi2GetIntegerStatus) NOT_SUPPORTED(fmi2GetBooleanStatus) NOT_SUPPORTED(fmi2GetStringStatus)
NOT_SUPPORTED(fmi2GetInteger) NOT_SUPPORTED(fmi2GetBoolean) NOT_SUPPORTED(fmi2GetString)
NOT_SUPPORTED(fmi2SetInteger) NOT_SUPPORTED(fmi2SetBoolean) NOT_SUPPORTED(fmi2SetString)
NOT_SUPPORTED(fmi2SerializedFMUstateSize) NOT_SUPPORTED(fmi2SerializeFMUstate)
NOT_SUPPORTED(fmi2DeSerializeFMUstate) NOT_SUPPORTED(fmi2GetDirectionalDerivative)
NOT_SUPPORTED(fmi2SetRealInputDerivatives) NOT_SUPPORTED(fmi2GetRealOutputDerivatives)
"""

_THREE = """
#include <stdbool.h>
FUNCTION(void *, fmi3InstantiateCoSimulation,
         (const char *name, const char *token, const char *place, bool visible, bool logging, bool events, bool early,
          const unsigned int *needed, size_t n, void *environment, void *log, void *update))
{
    (void)name; (void)place; (void)visible; (void)logging; (void)early; (void)needed; (void)n;
    (void)environment; (void)log; (void)update;
    return !events && strcmp(token, "TOKEN") == 0 ? instance() : NULL;
}
FUNCTION(void *, fmi3InstantiateModelExchange, (void)) { return NULL; }
FUNCTION(void *, fmi3InstantiateScheduledExecution, (void)) { return NULL; }
FUNCTION(int, fmi3EnterInitializationMode,
         (void *self, bool has, double tolerance, double start, bool ends, double stop))
{
    (void)has; (void)tolerance; (void)ends; (void)stop;
    ((Instance *)self)->time = start;
    return OK;
}
FUNCTION(int, fmi3SetDebugLogging, (void *self, bool on, size_t n, const char *const *categories))
{
    (void)self; (void)on; (void)n; (void)categories;
    return OK;
}
FUNCTION(int, fmi3GetFloat64, (void *self, const unsigned int *vr, size_t n, double *value, size_t size))
{
    return n == size ? read_values((Instance *)self, vr, n, value) : ERROR;
}
FUNCTION(int, fmi3SetFloat64, (void *self, const unsigned int *vr, size_t n, const double *value, size_t size))
{
    return n == size ? write_values((Instance *)self, vr, n, value) : ERROR;
}
FUNCTION(int, fmi3DoStep,
         (void *self, double now, double size, bool final, bool *event, bool *ends, bool *early, double *last))
{
    int status = stepped((Instance *)self, size);
    (void)now; (void)final;
    *event = *ends = *early = false;
    *last = ((Instance *)self)->time;
    return status;
}
"""

_NOT_IN_THREE = """
EnterConfigurationMode ExitConfigurationMode EnterEventMode EnterStepMode EnterContinuousTimeMode
CompletedIntegratorStep EvaluateDiscreteStates UpdateDiscreteStates SetTime SetContinuousStates
GetContinuousStateDerivatives GetEventIndicators GetContinuousStates GetNominalsOfContinuousStates
GetNumberOfEventIndicators GetNumberOfContinuousStates GetOutputDerivatives ActivateModelPartition
GetNumberOfVariableDependencies GetVariableDependencies SerializedFMUStateSize SerializeFMUState DeserializeFMUState
GetDirectionalDerivative GetAdjointDerivative GetIntervalDecimal GetIntervalFraction GetShiftDecimal
GetShiftFraction SetIntervalDecimal SetIntervalFraction SetShiftDecimal SetShiftFraction
"""
_TYPES = """
Float32 Int8 UInt8 Int16 UInt16 Int32 UInt32 Int64 UInt64 Boolean String Binary Clock
"""


def fmu_source(loop: Loop, name: str, version: str, token: str, start: list[float], sample_time: float) -> str:
    """Return the C source of an FMU, which includes the model's own.

    Parameters
    ----------
    loop : Loop
    name : str
    version : "2.0" or "3.0"
    token : str
        What the model description knows it by.
    start : list of float
        Of all variables by value reference: inputs, outputs, then the rows that the model starts behind.
    sample_time : float
        Of one row, in units of the simulation's time.
    """
    columns, major = loop.columns, version[0]
    observed = ", row"
    observed += ", row + N_OUT" if columns.future_exog else ""
    observed += ", row + N_OUT + N_IN" if columns.past_exog else ""
    ahead = ["        NAME_step(&self->model, y);"]
    if columns.future_exog:
        ahead = [
            "        NAME_real future[N_IN];",
            "        for (j = 0; j < N_IN; j++) future[j] = (NAME_real)self->value[j];",
            "        NAME_step(&self->model, future, y);",
        ]
    rest = _TWO
    if major == "3":
        names = [*_NOT_IN_THREE.split(), *(f"{way}{kind}" for kind in _TYPES.split() for way in ("Get", "Set"))]
        rest = _THREE + "\n".join(f"NOT_SUPPORTED(fmi3{other})" for other in names) + "\n"
    n_rows = len(loop.start.take(slice(-loop.n_rows, None)).y)
    text = _CORE + _SHARED.replace("#", major).replace("FMU@tate", "FMUstate" if major == "2" else "FMUState") + rest
    numbers = [f"    {', '.join(map(repr, start[i : i + 5]))}," for i in range(0, len(start), 5)]
    for key, value in (
        ("ROWS", str(n_rows)),
        ("REMEMBERED", "    remember(&self->model);\n" if loop.layout.recurrences else ""),
        ("OBSERVED", observed),
        ("AHEAD", "\n".join(ahead)),
        ("START", "\n".join(numbers)),
        ("= SAMPLE;", f"= {float(sample_time)!r};"),
        ("TOKEN", token),
        ("VERSION", version),
        ("NAME", name),
    ):
        text = text.replace(key, value)
    return text.lstrip("\n")
