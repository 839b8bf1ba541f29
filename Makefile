# Two commands on a fresh machine: `make demo` and `make test`. Everything lands in $(VENV).
PYTHON ?= python3
VENV ?= .venv
HA_PYTHON ?= python3.13
BIN := $(VENV)/bin

# Bytecode stays beside its source, also where a container forbids it: else each process of the tests
# compiles all of them anew, and each agent that they start our code.
unexport PYTHONDONTWRITEBYTECODE

# Files of tests side by side, the longest first (tests/conftest.py), with the ten slowest tests at the
# end. Most wait for a broker, a camera or a clock, so four on two cores. TensorFlow's do not wait: they
# take what is left of the cores, and have more time. In processes of their own, as tflite-runtime loads
# no model beside TensorFlow.
FILES := -m "not soak" --dist loadfile --no-loadscope-reorder --durations=10
TRAINER_TESTS = nice -n 5 $(BIN)/pytest $(FILES) -n 2 --timeout=900 tests/trainer
OTHER_TESTS = $(BIN)/pytest $(FILES) -n 4 --ignore=tests/trainer
# Rooms whose docstrings have examples that are run.
EXAMPLES := edge_reid/archive/ann_building.py edge_reid/archive/ivfflat_upkeep.py edge_reid/capture edge_reid/matching edge_reid/core/geometry.py edge_reid/core/log_context.py edge_reid/core/repeat_limit.py edge_reid/agent/histogram.py edge_reid/agent/embedding_time.py trainer/scoring trainer/thresholds

.PHONY: demo demo-live test soak check reference node-packages home-assistant bench device-test boot-test v4l2-test setup setup-device broker clean

demo: setup-device  ## the main job on a real clip, end to end, into out/demo/
	PYTHONPATH=tests $(BIN)/python tests/demo/demo.py --out out/demo

demo-live: setup-device  ## the same, and then its live page, until Ctrl-C
	$(BIN)/pip install --quiet --editable '.[broker,web]'
	PYTHONPATH=tests $(BIN)/python tests/demo/demo.py --out out/demo --web

test: setup broker  ## every quick test, against a real broker
	$(BIN)/pytest --doctest-modules $(EXAMPLES)
	tests/beside.sh '$(TRAINER_TESTS)' '$(OTHER_TESTS)'

soak: setup broker  ## the long ones: faults again and again
	$(BIN)/pytest -m soak --ignore=tests/trainer
	$(BIN)/pytest -m soak tests/trainer

device-test: setup  ## as root: the bundle on an emulated arm64 Debian, against x86; an hour
	PYTHONPATH=tests $(BIN)/python tests/device/bundle_test.py --out out/device

boot-test: setup  ## as root: a whole card in qemu-system, from flash to online, and its power cut; two hours
	PYTHONPATH=.:tests $(BIN)/python tests/device/boot_test.py --out out/boot

v4l2-test: setup  ## as root: cameras of V4L2, of a kernel driver in qemu-system; five minutes
	$(BIN)/python tests/device/v4l2_test.py

check: setup  ## style, types, import law; size of an installation, time of --help
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --no-namespace-packages deploy/install/install.py
	$(BIN)/lint-imports
	$(BIN)/python tests/bench/first_look.py

reference: setup  ## the pages of agent.toml and site.toml, and the AsyncAPI document, from the classes
	$(BIN)/python -m edge_reid.core.config_reference > edge_reid/core/CONFIG.md
	$(BIN)/python -m deploy.site.site_reference > deploy/site/SITE.md
	$(BIN)/python -m edge_reid.wire.asyncapi > edge_reid/wire/asyncapi.json

node-packages:  ## Node-RED, AsyncAPI's parser and axe-core from npm, for `pytest -m node`
	mkdir -p out/node
	npm install --prefix out/node --no-audit --no-fund --ignore-scripts node-red@4 @asyncapi/parser@3 axe-core@4

home-assistant:  ## a real Home Assistant, for `pytest -m home_assistant`; it needs a newer Python
	$(HA_PYTHON) -m venv out/home-assistant
	out/home-assistant/bin/pip install --quiet uv
	out/home-assistant/bin/uv pip install --quiet --python out/home-assistant/bin/python homeassistant 'paho-mqtt>=2.1'

bench: setup-device  ## the figures of the README, measured on this machine
	$(BIN)/edge-reid bench tests/data/campus.mp4 --naive
	$(BIN)/python tests/bench/latency.py
	$(BIN)/python tests/bench/match.py
	PYTHONPATH=tests $(BIN)/python tests/bench/recognition.py
	PYTHONPATH=tests $(BIN)/python tests/bench/strangers.py

setup: $(VENV)/.dev
setup-device: $(VENV)/.device

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "edge-reid needs Python 3.10 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.device: pyproject.toml | $(VENV)/bin/python
	@echo "installing edge-reid into $(VENV) (a minute or two) …"
	$(BIN)/pip install --quiet --editable '.[broker]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing edge-reid with trainer and test tools into $(VENV) (a few minutes) …"
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.device

broker:
	@sh tests/install_broker.sh

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
