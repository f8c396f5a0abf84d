# Everything runs in a virtual environment of its own; no root needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCHES := download swap inference fleet footprint

# A second stamp: who runs the tests need not install what builds the site.
DOCS_READY := $(VENV)/.docs-ready

.PHONY: help demo test lint type imports unit coverage long bench prove diagram reference docs wheel wheelhouse deb pythons vm clean

help:            ## Show the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Edgeferry needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)   ## Run the whole journey on this machine
	$(BIN)/edgeferry demo $(ARGS)

test: lint type imports unit  ## Run every check

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# Real processes wait for one another half of the time: two more tests than processors.
TESTS := pytest --numprocesses $$(($$(nproc) + 2)) --dist loadscope --no-loadscope-reorder

unit: $(READY)
	$(BIN)/$(TESTS) $(ARGS)

# Not a part of the tests: it makes every process slower, and killed ones tell nothing of what they did.
coverage: $(READY) ## Run the tests and see how much of the code they reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(TESTS) --timeout 600 $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

long: $(READY)   ## Run the tests that take minutes, which `make test` leaves out
	$(BIN)/pytest --long -m long $(ARGS)

bench: $(READY)  ## Race every part against its baseline, quickly
	@for name in $(BENCHES); do $(BIN)/python -m bench.$$name --quick $(ARGS) || exit; done

prove: $(READY)  ## Power cuts, bad links, damaged releases by the thousand; BUDGET=seconds for fewer
	$(BIN)/python -m tests.prove --budget $(or $(BUDGET),0) $(ARGS)

diagram: $(READY) ## Draw docs/state-machine.md from the machine
	$(BIN)/python -m states.diagram > docs/state-machine.md

reference: $(READY) ## Write the pages of docs/reference that are made from the code
	$(BIN)/python -m commands.reference docs/reference

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS_READY) ## Build the documentation's site in build/docs; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "To read it: $(BIN)/python -m http.server --directory build/docs 8000"

wheel: $(READY)   ## Build the wheel and the source archive in dist/, the same bytes every time
	@rm -f dist/edgeferry-*
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist

# For another machine, see docs/install.md: make wheelhouse PIP_ARGS='--platform … --only-binary :all:'
# For a local cloud on a site without network: make wheelhouse EXTRAS=cloud,operator
wheelhouse: wheel ## Collect the wheel and all it needs in dist/wheelhouse, for devices without network
	@rm -rf dist/wheelhouse
	$(BIN)/python -m pip download --quiet --disable-pip-version-check -c constraints.txt \
	  --dest dist/wheelhouse $(PIP_ARGS) "$$(echo dist/edgeferry-*.whl)$(if $(EXTRAS),[$(EXTRAS)])"
	@du -sh dist/wheelhouse

deb: wheelhouse   ## Make a Debian package in dist/ for machines like this one
	systemd/build-deb.sh dist/wheelhouse $(PYTHON)

# On each supported version that is here; PYTHONS="PROGRAM PROGRAM" for these ones.
pythons: wheel   ## Install the wheel in clean environments and play the demo, on each Python
	EDGEFERRY_PYTHONS="$(or $(PYTHONS),found)" $(BIN)/pytest -v tests/pythons $(ARGS)

vm: deb           ## Prove the services on a Debian in QEMU; MACHINE=container: in systemd-nspawn
	EDGEFERRY_VM=$(or $(MACHINE),qemu) $(BIN)/pytest -v tests/vm $(ARGS)

clean:           ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
