# Two commands do everything on a fresh machine: `make run` and `make test`.

SHELL := /bin/bash
PY := .venv/bin/python
# Compiled once at installation: a command then starts in half a second instead of one and a half.
unexport PYTHONDONTWRITEBYTECODE

# 3.13 where the machine has one (the Functions runtime needs it), else 3.12, else 3.11; under pyenv it may exist without being active.
define find_python
for v in 3.13 3.12 3.11; do \
  for c in "python$$v" $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$v.*/bin/python$$v 2>/dev/null | sort -rV); do \
    if "$$c" -c 'import sys, ssl, sqlite3' >/dev/null 2>&1; then "$$c" -c 'import sys; print(sys.executable)'; exit 0; fi; \
  done; \
done; \
echo "imagesweep needs Python 3.11, 3.12 or 3.13" >&2; exit 1
endef

.PHONY: help run serve browser test check check-infra simulate defects kills kills-azure rehearse bench quality lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The base environment: a bare one that holds uv, which fills the other from the lock.
.venv/uv: 
	@found=$$($(find_python)) || exit 1; \
	echo "Python: $$found"; \
	"$$found" -m venv .venv && $(PY) -m pip install --quiet --disable-pip-version-check uv && touch .venv/uv

.venv/run: .venv/uv requirements-local.txt pyproject.toml
	@if [ ! -e .venv/dev ]; then $(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) --require-hashes -r requirements-local.txt; fi
	@$(PY) -m uv pip install --quiet --python $(PY) --no-deps --editable .
	@$(PY) -m compileall -q jobs search
	@touch .venv/run

.venv/dev: .venv/uv requirements-dev.txt pyproject.toml
	@$(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) --require-hashes -r requirements-dev.txt
	@$(PY) -m uv pip install --quiet --python $(PY) --no-deps --editable .
	@$(PY) -m compileall -q jobs search
	@touch .venv/dev .venv/run

run: .venv/run ## sweep samples/, print the report, and search it three times
	@echo '$$ imagesweep sweep'; .venv/bin/imagesweep sweep
	@echo; echo '$$ imagesweep failures'; .venv/bin/imagesweep failures
	@for words in dog castle bird; do echo; echo "\$$ imagesweep search $$words --limit 5"; .venv/bin/imagesweep search $$words --limit 5; done

test: check ## everything that must hold: lint, types, layers, all tests
	$(PY) -m pytest -q -n auto --dist loadfile -m "slow or servers"

simulate: .venv/dev ## SEEDS=100000 simulated worlds, on all cores
	$(PY) -m tests.simulation $(or $(SEEDS),2000)

defects: .venv/dev ## plant known defects, one at a time, and show what kills each
	$(PY) -m tests.defects --all

check: .venv/dev ## lint, types, layers, lock, fast tests; a minute and a half on two cores
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) tools/lock.py --check
	$(PY) -m pytest -q -n auto --dist worksteal -m "not slow and not servers"

check-infra: .venv-infra/done ## the deployment in infra/: can be parsed, and holds to policy
	.venv-infra/bin/python infra/check.py
	.venv-infra/bin/checkov --config-file .checkov.yaml

# Of its own: the policy's tools ask for other versions than the program does.
.venv-infra/done: .venv/uv infra/requirements.txt
	@found=$$($(find_python)) || exit 1; "$$found" -m venv .venv-infra
	@$(PY) -m uv pip install --quiet --python .venv-infra/bin/python --require-hashes -r infra/requirements.txt
	@touch .venv-infra/done

serve: .venv/run ## the gallery over samples/, at http://127.0.0.1:8000
	@[ -d .imagesweep/index ] || .venv/bin/imagesweep sweep
	@.venv/bin/imagesweep serve

browser: .venv/dev ## the gallery in Chromium; screenshots go to .imagesweep/screenshots
	$(PY) -m pytest -q tests/browser

kills: .venv/dev ## KILLS=200 of the real program, in every phase, over 3,000 images
	$(PY) -m tests.kills $(or $(KILLS),200) 3000

kills-azure: .venv/dev ## KILLS=30 of it on the Azure profile, over 1,000 images
	$(PY) -m tests.kills $(or $(KILLS),30) 1000 azure

rehearse: .venv/dev ## a deployment in Azure from nothing to the first search, without a subscription
	@$(PY) -m tests.rehearsal

bench: .venv/dev ## sweep throughput beside the roofline and what a user would write
	$(PY) bench/sweep.py

quality: .venv/dev ## share of photos with a correct label
	$(PY) bench/quality.py samples

lock: .venv/uv ## write the locked requirements files anew
	$(PY) tools/lock.py

clean: ## remove the environment and all results
	rm -rf .venv .venv-infra .imagesweep
