"""How long examples/serve.py takes to answer: one process, one request at a time, over HTTP on this machine.

Milliseconds on the wall, of a machine whose load stands beside them, and of the server's CPU.

Run ``python benchmarks/serving.py`` (needs tsforce[serve]): half a minute; writes ``benchmarks/results/serving.csv``.
"""

from __future__ import annotations

import csv
import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from streaming import frame

from tsforce import NARXForecaster

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "serving.csv"
REQUESTS = 500


def cpu_ms(pid: int) -> float:
    """Return the CPU milliseconds that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(port: int, body: bytes) -> list[float]:
    """Return the milliseconds of requests, one after the other, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    spent = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        connection.request("POST", "/forecast", body)
        reply = connection.getresponse()
        reply.read()
        spent.append(1e3 * (time.perf_counter() - start))
        assert reply.status == 200
    return spent[20:]


def main() -> None:
    """Time everything, print and write it."""
    df = frame(300)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        NARXForecaster(12, 24, scope="local", mode="open_loop").fit(df[:250]).save(f"{folder}/model.tsforce")
        server = subprocess.Popen(
            [sys.executable, HERE.parent / "examples" / "serve.py", f"{folder}/model.tsforce", str(port)]
        )
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
            history = df[200:].assign(ds=df["ds"].astype(str)).to_dict("list")
            bodies = {"from the end of the training rows": {}, "from a history of 100 rows": {"history": history}}
            rows: list[dict[str, Any]] = []
            for what, body in bodies.items():
                before = cpu_ms(server.pid)
                spent = asked(port, json.dumps(body).encode())
                cpu = round((cpu_ms(server.pid) - before) / REQUESTS, 2)
                p50, p99 = np.percentile(spent, [50, 99]).round(2).tolist()
                rows.append({
                    "what": f"12 steps, 24 lags, one series, {what}", "requests": len(spent), "p50_ms": p50,
                    "p99_ms": p99, "server_cpu_ms": cpu, "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(),
                    "versions": f"python {platform.python_version()}, uvicorn {uvicorn.__version__}",
                    "command": "python benchmarks/serving.py",
                })  # fmt: skip
                print(rows[-1], flush=True)
        finally:
            server.terminate()
            server.wait()
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
