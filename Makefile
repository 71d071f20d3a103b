# Each target does all its own set-up: .venv with a Python 3.10 and the tested versions.
#   make demo    a bookshop's bot, its desk and the customer's page; ports from RASA_PORT, ACTIONS_PORT, DESK_PORT, CHAT_PORT
#   make test    the whole suite; ARGS='tests/cli -x' for a part of it
#   make chaos   random faults against real processes; FAULTS=1000 SEED=... MINUTES=45
#   make lint    formatting, lint and types
#   make clean   takes away what the others made, .venv too

PYTHON := .venv/bin/python

.PHONY: demo test chaos lint clean setup

setup:
	@sh tools/setup.sh

demo: setup
	@$(PYTHON) tools/demo.py

test: setup
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: setup
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) tools/chaos.py $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES))

lint: setup
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy

clean:
	rm -rf .venv .demo .rasa .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build example_bot/models example_bot/.rasa
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
