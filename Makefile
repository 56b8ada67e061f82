# Each target works from a fresh clone, with nothing prepared.
.DEFAULT_GOAL := help
.PHONY: help run demo test test-faults fuzz soak lint lock audit docs bench clean

READY := .venv/.ready
READY_DEV := .venv/.ready-dev
SOURCES := setup.cfg pyproject.toml scripts/setup.sh

help: ## show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 14

run: $(READY) ## everything in the foreground: Elasticsearch, Redis, server, worker
	@exec .venv/bin/remembr-server dev

demo: $(READY) ## a conversation remembered and found again, on a stack of its own
	@exec .venv/bin/remembr-server demo

test: $(READY_DEV) ## the tests, against real engines
	@exec .venv/bin/python -m pytest -m "not slow"

test-faults: $(READY_DEV) ## the slow ones: engines and whole stacks killed, frozen and started again
	@exec .venv/bin/python -m pytest -m slow

fuzz: $(READY_DEV) ## much more made-up input than in the tests, other each time: make fuzz CASES=200
	@REMEMBR_FUZZ=$(or $(CASES),200) exec .venv/bin/python -m pytest -k "made_up or programs"

soak: $(READY_DEV) ## a constant mixed load, and whether everything stays flat: make soak MINUTES=20
	@exec .venv/bin/python -m bench.soak --minutes $(or $(MINUTES),20)

lint: $(READY_DEV) ## ruff, mypy, import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

lock: $(READY_DEV) ## pin what a release is installed from, with hashes: requirements.lock
	.venv/bin/pip install --quiet 'remembr-server[lock] @ .'
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock setup.cfg

audit: $(READY_DEV) ## known holes in what is pinned; needs a service that knows them
	.venv/bin/pip install --quiet 'remembr-server[lock] @ .'
	.venv/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

docs: $(READY_DEV) ## the documents as a site, in build/site
	.venv/bin/mkdocs build --quiet

bench: $(READY_DEV) ## speed, as ratios in one run
	@exec .venv/bin/python -m bench

clean: ## remove what the other targets made here (not the cached engines)
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/results

$(READY): $(SOURCES)
	@scripts/setup.sh
	@touch $@

$(READY_DEV): $(SOURCES)
	@scripts/setup.sh dev
	@touch $@ $(READY)
