# lossscape: `make demo` and `make test` set up all they need; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin
LOSSSCAPE := $(BIN)/lossscape
SCALE ?= laptop
export MPLBACKEND := Agg
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-browser docs train interpolate landscape report study-interpolation study-minimum study-curvature study-optimizers study-distill study-init study-race check bench bench-landscapes bench-curvature bench-training bench-sweeps bench-tolerance faults fuzz campaigns load schema clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.user: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'lossscape needs Python 3.11 or newer with venv: make PYTHON=python3.12'; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lossscape needs Python 3.11 or newer; $(PYTHON) is older: rm -r $(VENV); make PYTHON=python3.12"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.user
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.user  ## train a small net on embedded digits, interpolate, draw a landscape, write the report
	$(LOSSSCAPE) train configs/digits_mlp.yaml --name demo
	$(LOSSSCAPE) interpolate runs/demo --points 201
	$(LOSSSCAPE) landscape runs/demo --grid 31
	$(LOSSSCAPE) report runs/demo

test: $(VENV)/.dev  ## install what is missing and run the tests (on a GPU: LOSSSCAPE_TEST_DEVICE=cuda make test)
	$(BIN)/python -m pytest $(TESTS)

test-slow: $(VENV)/.dev  ## the tests that `make test` leaves out: deep nets, torchrun, Lightning and the like
	$(BIN)/python -m pytest -m slow $(TESTS)

$(VENV)/.browser: $(VENV)/.dev
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || { echo 'make test-browser needs Chromium: apt-get install chromium'; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	@touch $@

test-browser: $(VENV)/.browser  ## the report in headless Chromium: every control, nothing fetched [LOSSSCAPE_SCREENSHOTS=folder]
	$(BIN)/python -m pytest -n 2 -m browser tests/browser

check: $(VENV)/.dev  ## lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev  ## build the documentation into site/ (begin at site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

train: $(VENV)/.user  ## make train CONFIG=configs/mnist_mlp.yaml [ARGS='--set seed=1']
	$(LOSSSCAPE) train $(or $(CONFIG),$(error name a config: make train CONFIG=configs/mnist_mlp.yaml)) --resume $(ARGS)

interpolate: $(VENV)/.user  ## make interpolate RUN=runs/mnist_mlp [ARGS='--points 101']
	$(LOSSSCAPE) interpolate $(or $(RUN),$(error name a run: make interpolate RUN=runs/mnist_mlp)) $(ARGS)

landscape: $(VENV)/.user  ## make landscape RUN=runs/mnist_mlp [ARGS='--grid 25']
	$(LOSSSCAPE) landscape $(or $(RUN),$(error name a run: make landscape RUN=runs/mnist_mlp)) $(ARGS)

report: $(VENV)/.user  ## make report RUN='runs/mnist_mlp runs/other'
	$(LOSSSCAPE) report $(or $(RUN),$(error name a run: make report RUN=runs/mnist_mlp)) $(ARGS)

study-interpolation: $(VENV)/.user  ## linear interpolation as published: SCALE=smoke|laptop|full [ARGS='--set dataset.root=/data']
	$(LOSSSCAPE) study configs/studies/interpolation.yaml --scale $(SCALE) $(ARGS)

study-minimum: $(VENV)/.user  ## landscapes around true minima as published: SCALE=smoke|laptop|evening|full
	$(LOSSSCAPE) study configs/studies/minimum.yaml --scale $(SCALE) $(ARGS)

study-curvature: $(VENV)/.user  ## edge of stability, index of critical points: SCALE=smoke|laptop|full
	$(LOSSSCAPE) study configs/studies/curvature.yaml --scale $(SCALE) $(ARGS)

study-distill: $(VENV)/.user  ## a small net that learns from a large one, and alone: SCALE=smoke|laptop|full
	$(LOSSSCAPE) study configs/studies/distill.yaml --scale $(SCALE) $(ARGS)

study-init: $(VENV)/.dev  ## initial values, and which units stay equal: SCALE=smoke|laptop|full
	$(LOSSSCAPE) study configs/studies/initial.yaml --scale $(SCALE) --workers 2 $(ARGS)

study-race: $(VENV)/.user  ## which methods leave saddles: SCALE=smoke|laptop|full
	$(LOSSSCAPE) study configs/studies/race.yaml --scale $(SCALE) $(ARGS)

study-optimizers: $(VENV)/.dev  ## methods side by side, and MNIST at 95 to 97 %: SCALE=smoke|laptop|full
	$(LOSSSCAPE) study configs/studies/optimizers.yaml --scale $(SCALE) --workers 2 $(ARGS)

$(BENCH)/.ready: pyproject.toml constraints.txt benchmarks/requirements.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cluster]' --requirement benchmarks/requirements.txt
	@touch $@

bench: bench-landscapes bench-curvature  ## both of the next two: make -k bench does the second where the first misses

bench-landscapes: $(BENCH)/.ready  ## seconds per point, against loss-landscapes [ARGS='--rows mlp-plane --quick --json FILE']
	$(BENCH)/bin/python -m benchmarks.landscapes $(ARGS)

bench-curvature: $(BENCH)/.ready  ## Hessians, against PyHessian and curvlinops [ARGS='--rows mlp-eigenvalues --quick']
	$(BENCH)/bin/python -m benchmarks.curvature $(ARGS)

bench-training: $(VENV)/.dev  ## samples/s of the usual PyTorch loop and of lossscape, in one run (MNIST is needed)
	$(BIN)/python -m benchmarks.training $(ARGS)

bench-sweeps: $(VENV)/.dev  ## seconds of 64 small runs with two workers and one after the other
	$(BIN)/python -m benchmarks.sweeps $(ARGS)

bench-tolerance: $(VENV)/.dev  ## points and errors of --tolerance on 12 exact surfaces [ARGS='--cifar /data/cifar10 --timed']
	$(BIN)/python -m benchmarks.tolerance $(ARGS)

faults: $(VENV)/.dev  ## kill every command at seeded moments and file operations: what is lost? [CASES=1000 ARGS='--seed 1']
	$(BIN)/python -m benchmarks.reliability.faults $(if $(CASES),--cases $(CASES)) $(ARGS)

fuzz: $(VENV)/.dev  ## bad input and damaged files: refused, healed, or named? [CASES=2000 ARGS='--damaged 200 --seed 1']
	$(BIN)/python -m benchmarks.reliability.fuzz $(if $(CASES),--inputs $(CASES)) $(ARGS)

campaigns: faults fuzz  ## both at once: make -j2 campaigns CASES=200 ARGS='--seed 0'

load: $(VENV)/.dev  ## a million points, a thousand runs, ten thousand checkpoints: seconds and memory [ARGS='--rows runs']
	$(BIN)/python -m benchmarks.reliability.load $(ARGS)

schema: $(VENV)/.user  ## write configs/schema.json anew
	$(LOSSSCAPE) schema > configs/schema.json

clean:  ## remove the virtual environments and caches (runs stay)
	rm -rf $(VENV) $(BENCH) .pytest_cache .hypothesis .mypy_cache .ruff_cache build site *.egg-info
