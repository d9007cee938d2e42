"""Answer forecasts over HTTP from a saved model, with the small server of ``pip install 'tsforce[serve]'``.

Run: python examples/serve.py                                     a model of its own, asked once, as a check
     python examples/serve.py model.tsforce 8000                  then, in another shell:
     curl -d '{"horizon": 3}' http://127.0.0.1:8000/forecast

A request may bring ``history``, rows that came after those learnt from: {"unique_id": [...], "ds": [...], "y": [...]}.
"""

import json
import sys
import tempfile
import threading
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pandas as pd
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tsforce
from tsforce import NARXForecaster
from tsforce.datasets import load
from tsforce.errors import TsforceError


def make_app(model: tsforce.Forecaster) -> Starlette:
    """Return the application that answers POST /forecast with the columns of ``model.predict``."""

    def forecast(asked: dict) -> str:
        history = asked.get("history")
        if history is not None:
            history = pd.DataFrame(history)
            history[model.time_col] = pd.to_datetime(history[model.time_col])
        ahead = model.predict(asked.get("horizon"), history=history)
        return ahead.to_json(orient="split", index=False, date_format="iso", double_precision=15)

    async def answer(request: Request) -> Response:
        try:
            # Forecasts leave no trace in a model, so that threads may share it.
            text = await run_in_threadpool(forecast, await request.json())
        except (TsforceError, ValueError, TypeError, KeyError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        return Response(text, media_type="application/json")

    return Starlette(routes=[Route("/forecast", answer, methods=["POST"])])


if len(sys.argv) > 1:
    uvicorn.run(make_app(tsforce.load(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")
    raise SystemExit

df = load("airpassengers")
fitted = NARXForecaster(horizon=12, lags=24, mode="open_loop").fit(df[:132])
with tempfile.TemporaryDirectory() as folder:
    fitted.save(f"{folder}/model.tsforce")
    app = make_app(tsforce.load(f"{folder}/model.tsforce"))
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.01)
url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/forecast"
rows = df[100:].assign(ds=df["ds"].astype(str)).to_dict("list")
told = json.load(urlopen(url, json.dumps({"horizon": 3, "history": rows}).encode()))
try:
    refused = urlopen(url, b'{"horizon": -1}').read().decode()
except HTTPError as error:
    refused = f"{error.code} {error.read().decode()}"
server.should_exit = True
print(told, refused, sep="\n")

# The claim: what comes over HTTP is what Python says, and a wrong question is told what is wrong.
expected = fitted.predict(3, history=df[100:])["NARXForecaster"]
assert refused.startswith("422")
assert all(abs(row[-1] - value) < 1e-9 for row, value in zip(told["data"], expected, strict=True))
