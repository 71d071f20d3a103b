# Each target does all its own set-up: .venv with a Python 3.10 and the tested versions.
#   make demo    a bookshop's bot, its desk and the customer's page; ports from RASA_PORT, ACTIONS_PORT, DESK_PORT, CHAT_PORT
#   make test    the whole suite; ARGS='tests/rasa/cli -x' for a part of it
#   make test-shared   store, server, desks, handoffs and platforms on Postgres, with each bus in turn; BUS=notify or BUS=redis for one
#   make test-fast   tests/core on SQLite: state machines, store, protocol, limits; no Rasa, no server, no browser; seconds
#   make test-core   what needs no Rasa, on newer Pythons with SQLAlchemy 2; VERSIONS=3.11,3.12,3.13 ARGS=tests/core
#   make chaos   random faults against real processes; FAULTS=1000 SEED=... MINUTES=45 TRACKER=sqlite or postgres, TOPOLOGY=many
#   make rolling a rolling update from an earlier commit with ten live chats, and back; FROM=commit CHATS=10
#   make bench   what the live path costs, each figure beside its reference; ONLY=round-trip,take SECONDS=60 JSON=file; ARGS=quick in two minutes
#   make dist    the wheel and the sources as an archive, in dist
#   make test-install   the wheel installed beside the newest Rasa 3.6, in both orders, with a handoff there (10 minutes)
#   make lint    formatting, lint and types
#   make clean   takes away what the others made, .venv too

PYTHON := .venv/bin/python
VERSIONS ?= 3.11,3.12,3.13
TEST := TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m pytest -p tests.support.early_imports -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart=0
ON_POSTGRES := tests/core tests/server tests/desks tests/rasa/handoff tests/rasa/platforms

.PHONY: demo test test-shared test-fast test-core chaos rolling bench dist test-install lint clean setup setup-packages setup-test

setup:
	@sh tools/setup.sh

setup-test:
	@sh tools/setup.sh test

demo: setup
	@$(PYTHON) tools/demo.py

# Four workers, since tests wait for processes half of their time; the longest files first (tests/conftest.py). A worker that crashes
# ends the run: with another in its place it would stand still.
test: setup-test
	@$(TEST) $(ARGS)

# What `make test` runs on SQLite but for a part of it, here on Postgres, shared by processes. Both buses take twice ten minutes.
test-shared: setup-test
	@for bus in $(or $(BUS),notify redis); do $(TEST) --database postgres --bus $$bus $(or $(ARGS),$(ON_POSTGRES)) || exit 1; done

# With a Python of your own, which has the dependency group `core` and the extra `server`: make test-fast PYTHON=python3.13
test-fast: $(if $(filter .venv/bin/python,$(PYTHON)),setup-packages)
	@$(PYTHON) -m pytest -q -n 2 -m 'not slow and not postgres and not redis' tests/core $(ARGS)

test-core:
	@sh tools/test_core.sh $(VERSIONS) $(or $(ARGS),tests/core tests/server tests/desks --ignore tests/server/test_seed.py)

chaos: setup-test
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) tools/chaos.py $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(TRACKER),--tracker $(TRACKER)) $(if $(TOPOLOGY),--topology $(TOPOLOGY))

rolling: setup-test
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m tests.rolling.rolling_update $(if $(FROM),--from $(FROM)) $(if $(CHATS),--chats $(CHATS))

bench: setup-packages
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m tools.bench $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json $(JSON)) $(ARGS)

setup-packages:
	@sh tools/setup.sh lint

dist: setup-packages
	@sh tools/dist.sh

test-install: dist
	@$(PYTHON) tools/install_check.py dist/*.whl

lint: setup-packages
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy

clean:
	rm -rf .venv .venv-3.1? .uv .demo .rasa .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build example_bot/models example_bot/.rasa
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
