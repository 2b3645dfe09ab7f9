# `make` lists the targets. `make demo` and `make test` set up everything they need by themselves.
# This file works with GNU make 3.81, the version of macOS. Paths are relative, so the path of the
# repository may contain spaces.

.DEFAULT_GOAL := help
SHELL := /bin/sh

venv := .venv
venv_spark35 := .venv-spark35
project := '.[spark,emulator,bench,dev]'

# More arguments for pytest, e.g. make test PYTEST_ARGS='-k ledger -x'
PYTEST_ARGS ?=
# Processes that run tests at the same time, each with its own Spark; 0 runs them in one process.
WORKERS ?= 2
# In the order of pyproject.toml, files with slow tests first: so all processes end at the same time.
parallel = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The files that have tests with a mark, if PYTEST_ARGS names none: pytest alone imports all files.
marked = $(if $(findstring tests/,$(PYTEST_ARGS)),,$$(grep -rlE --include='test_*.py' \
	'mark\.($(1))\b' tests/e2e tests/spark tests/emulator tests/unit | LC_ALL=C sort))

.PHONY: help install install-spark35 classes demo test test-long test-lowest test-cluster test-cluster-long test-clients models prices lint format types bench bench-large chaos mutants dist ci clean distclean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

install: ## Create .venv with the project and everything it needs
	@scripts/venv.sh $(venv) -e $(project)

# The lowest version of everything that pyproject.toml allows, among it Spark 3.5.3, which imports
# distutils: Python 3.12 removed it, and setuptools has a copy.
install-spark35:
	@mkdir -p build
	@"$$(scripts/python.sh python3.11 python3)" scripts/lowest.py spark emulator ui lineage > build/lowest.txt
	@PYTHON_NAMES='python3.11 python3.12 python3' scripts/venv.sh $(venv_spark35) \
		-c build/lowest.txt -e $(project) 'setuptools<81'

# Whatever starts many JVMs is worth the half minute that it takes once.
classes: install ## Write the archive of Spark's classes, with which JVMs of tests start faster
	@scripts/with-spark.sh $(venv) python -m tests.jvm

demo: install ## Run the whole pipeline over a real corpus, against a local Bedrock
	@scripts/with-spark.sh $(venv) bedrock-spark demo

test: install ## Run all tests but the long ones
	@scripts/with-spark.sh $(venv) pytest $(parallel) -m 'not long' $(PYTEST_ARGS)

test-long: classes ## Run the long tests: killed controllers, Delta and Iceberg, other Spark sessions
	@CHROMIUM=$$(scripts/chromium.sh); export CHROMIUM; \
		scripts/with-spark.sh $(venv) pytest $(parallel) -m long $(PYTEST_ARGS) \
		$(call marked,long)

test-lowest: install-spark35 ## Run unit tests, and those that depend on Spark, with the lowest versions
	@SPARK_JAVA_NEWEST=21 scripts/with-spark.sh $(venv_spark35) pytest $(parallel) \
		-m 'unit and not long or versions or jars' $(PYTEST_ARGS) \
		$(call marked,versions|jars) $(if $(findstring tests/,$(PYTEST_ARGS)),,tests/unit)

# Two hosts are two addresses of the loopback interface, which only Linux has.
test-cluster: classes ## Run the stages on a Spark cluster of several processes, and kill some
	@scripts/with-spark.sh $(venv) pytest tests/cluster -m 'not long' $(PYTEST_ARGS)

test-cluster-long: classes install-spark35 ## Run all tests on clusters, with both versions of Spark
	@scripts/with-spark.sh $(venv) pytest tests/cluster $(PYTEST_ARGS)
	@SPARK_JAVA_NEWEST=21 scripts/with-spark.sh $(venv_spark35) pytest tests/cluster $(PYTEST_ARGS)

test-clients: classes ## Try real clients: the emulator's examples, and what deploy writes (installs them)
	@BEDROCK_SPARK_CLIENTS=1 scripts/with-spark.sh $(venv) pytest tests/emulator/test_real_clients.py \
		tests/e2e/test_deployed_clients.py tests/e2e/test_getting_started.py $(PYTEST_ARGS)

# The ids and the days on which they end are in tests/models.py.
models: install ## List the model ids in this repository that end soon (DAYS=90)
	@$(venv)/bin/python scripts/models.py $(DAYS)

lint: install ## Check style and format
	@$(venv)/bin/python -m ruff check .
	@$(venv)/bin/python -m ruff format --check .

format: install ## Format the code and fix what ruff can fix
	@$(venv)/bin/python -m ruff check --fix .
	@$(venv)/bin/python -m ruff format .

types: install ## Check the types
	@$(venv)/bin/python -m mypy

prices: install ## Renew the list prices of bedrock_spark/prices/bedrock.json from the newest litellm
	@$(venv)/bin/python scripts/prices.py

bench: install ## Run the benchmarks
	@for file in bench/*.py; do \
		case $$file in bench/chaos.py|bench/mutants.py|bench/million.py) continue ;; esac; \
		echo "== $$file"; \
		scripts/with-spark.sh $(venv) python "$$file" || exit 1; \
	done

bench-large: install ## Run the benchmarks of 100,000 shards and of a million records
	@scripts/with-spark.sh $(venv) python bench/scale.py --large
	@scripts/with-spark.sh $(venv) python bench/million.py

# Random kills of runs, e.g. make chaos SEED=7 KILLS=300 SPARK_KILLS=40
SEED ?= 1
KILLS ?= 20
SPARK_KILLS ?= 1

chaos: classes ## Kill runs at random moments, and check that nothing is lost or paid for twice
	@scripts/with-spark.sh $(venv) python bench/chaos.py \
		--seed $(SEED) --kills $(KILLS) --spark-kills $(SPARK_KILLS) $(CHAOS_ARGS)

mutants: install ## Change single things in the modules that guard money, and see which tests notice
	@$(venv)/bin/python bench/mutants.py $(MUTANTS_ARGS)

# For another cluster: make dist FOR='--python 3.12 --arch aarch64'
FOR ?= --python 3.11 --arch x86_64

dist: install ## Build sdist, wheel, and the archive and the zip for a cluster into dist/
	@$(venv)/bin/python -m pip install --quiet --disable-pip-version-check build
	@rm -rf dist
	@$(venv)/bin/python -m build
	@$(venv)/bin/bedrock-spark environment $(FOR)

ci: ## Run everything that must pass before a merge
	@.ci/run

clean: ## Remove the files that builds, tests and tools leave
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -rf spark-warehouse metastore_db derby.log .coverage
	@find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the virtual environments, the demo's run and cluster tests' archives
	@rm -rf $(venv) $(venv_spark35) .demo .cluster
