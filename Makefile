SHELL := /usr/bin/env bash
PYTHON_OF_VENV := tools/venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup hear demo test test-cases test-page test-kills test-all mutants bench lint format clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup:  ## make the environment in tools/venv (about 6 GB; does nothing when it is up to date)
	@tools/setup_env.sh

hear: setup  ## answer a recording of each task by the model that comes with egs/mini_aio; nothing is trained
	@cd egs/mini_aio && . ./path.sh && python local/answer_some.py --model pretrained --data examples --out exp/heard

demo: setup  ## run egs/mini_aio from data to tables of results and to answers, on the CPU
	@egs/mini_aio/run.sh --stage 1 --stop_stage 8
	@cd egs/mini_aio && . ./path.sh && python local/answer_some.py

test: setup  ## run the tests
	@$(PYTHON_OF_VENV) -m pytest -m "not all"

test-page: setup  ## test the page of `aio-toolkit demo`, in chromium where the machine has it
	@$(PYTHON_OF_VENV) -m pip install --quiet -c tools/constraints.txt -r tools/requirements-demo.txt -r tools/requirements-browser.txt
	@$(PYTHON_OF_VENV) -m pytest test/hub/test_page.py test/hub/test_server.py test/hub/test_page_in_browser.py

test-cases: setup  ## change, damage and mistake what stages read, and end their processes; half an hour
	@$(PYTHON_OF_VENV) -m pytest test/recipes/test_changes.py test/recipes/test_bad_input.py test/recipes/test_processes.py

test-kills: setup  ## kill stages of a small mini_aio at random and compare what they end with; half an hour
	@PYTHONPATH=. $(PYTHON_OF_VENV) utils/kill_test.py

test-all: lint test-page test-kills  ## lint, all tests, and whether the tests notice broken code; an hour or two
	@$(PYTHON_OF_VENV) -m pytest
	@$(PYTHON_OF_VENV) utils/mutants.py

mutants: setup  ## break the code in a hundred places, one at a time, and see whether a fast test notices
	@$(PYTHON_OF_VENV) utils/mutants.py

bench: setup  ## measure speed against peers, as ratios in one run; leave the machine alone meanwhile
	@$(PYTHON_OF_VENV) -m pip install --quiet -c tools/constraints.txt -r tools/requirements-bench.txt
	@for bench in utils/bench/bench_*.py; do PYTHONPATH=. $(PYTHON_OF_VENV) $$bench; done

lint: setup  ## check style, format and types
	@$(PYTHON_OF_VENV) -m ruff check .
	@$(PYTHON_OF_VENV) -m ruff format --check .
	@$(PYTHON_OF_VENV) -m mypy

format: setup  ## format the code and fix what can be fixed automatically
	@$(PYTHON_OF_VENV) -m ruff format .
	@$(PYTHON_OF_VENV) -m ruff check --fix .

clean:  ## remove caches and what the demo made; the environment stays
	@rm -rf egs/mini_aio/{corpus,data,dump,exp}{,_small,_full} .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	@find aio_toolkit test tools egs utils -path tools/venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
