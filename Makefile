# Every target sets up .venv first if it is missing. `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-slow browser docs dist check format bench bench-m4 bench-modes bench-inputs

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install -c constraints.txt -e ".[dev]"
	@touch $(READY)

demo: $(READY)
	$(BIN)/tsforce bench m3 --group monthly --models naive,seasonal_naive,naive2,linear-local,linear-global \
		--modes open_loop,auto --out build/demo

# Two processes: the suite is meant for two cores, and each test uses one thread.
test: $(READY)
	$(BIN)/pytest -n 2

test-slow: $(READY)
	$(BIN)/pytest -m slow

# Debian's Chromium and its driver, as root: what the slow tests of pages drive.
browser:
	apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		chromium chromium-driver fonts-dejavu-core

# Into build/site, without a network; whatever Sphinx warns of is an error.
docs: $(READY)
	$(BIN)/sphinx-build -q -j 2 -b html -W --keep-going -c docs/site . build/site

# Wheel and source archive, into dist/.
dist: $(READY)
	$(BIN)/python -m build

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-m4 bench-modes bench-inputs

bench-m4: $(READY)
	$(BIN)/python benchmarks/m4.py

bench-modes: $(READY)
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/tsforce bench modes --out benchmarks/results

bench-inputs: $(READY)
	$(BIN)/python benchmarks/inputs.py
	$(BIN)/python benchmarks/peers/lightgbm_recursive.py
