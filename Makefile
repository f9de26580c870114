# vsspc: see `make help`. Everything Python is in .venv, made from Debian's own Python.

.PHONY: help setup machine lock lint audit test demo real-paexec chaos install deb backuppc security fuzz bench docs screenshots newcomer
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip install --quiet --no-input --disable-pip-version-check
LOCKED := $(PIP) --require-hashes --no-build-isolation
LOCKS := vsspc/packaging/locks
SOURCES := vsspc tests examples
# Most tests wait for a process of the lab more than they compute.
WORKERS := $(shell expr 2 \* $$(nproc))

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

setup: .venv/installed ## install what is missing: Debian packages (root or sudo), and .venv

machine:
	@sh vsspc/lab/setup-debian.sh

# The versions and files that vsspc/packaging/locks names. Rebuilt when what it is made from changed. `machine` comes first
# (it brings python3-venv) and does not make it stale.
.venv/installed: setup.cfg pyproject.toml $(LOCKS)/build.txt $(LOCKS)/all.txt | machine
	@echo 'setup: installing the Python packages into .venv'
	@test -x $(PYTHON) || /usr/bin/python3 -m venv .venv
	@$(LOCKED) -r $(LOCKS)/build.txt
	@$(LOCKED) -r $(LOCKS)/all.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

lock: machine ## choose the versions of all Python packages anew, within the bounds of setup.cfg
	@sh vsspc/packaging/lock.sh

lint: setup ## ruff, mypy --strict, bandit and the import fences
	@$(PYTHON) -m ruff check --quiet --line-length 120 $(SOURCES)
	@$(PYTHON) -m mypy --no-error-summary
	@$(PYTHON) -m bandit --quiet --ini setup.cfg --recursive vsspc 2>.venv/bandit.log || { cat .venv/bandit.log; exit 1; }
	@.venv/bin/lint-imports --no-cache >.venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

test: lint ## lint, then every test, in parallel; the last line counts them
	@$(PYTHON) -m pytest -q -n $(WORKERS) --durations=12

faults: setup ## the fault matrix: faults at every effect of a run, singly and in pairs, on the model of a host (5 minutes)
	@$(PYTHON) -m tests.matrix

demo: setup ## the main job: a real BackupPC dumps a rehearsal Windows host with open files
	@$(PYTHON) -m vsspc.lab.demo

real-paexec: setup ## the same with the real PAExec, in Wine: one contract on both tiers, the hazards, a whole BackupPC (root)
	@$(PYTHON) -m tests.real_paexec.compare

chaos: setup ## real dumps with a random fault each: none wrong, nothing left (N=200 of them, SEED=random)
	@VSSPC_EVERY_EFFECT=1 $(PYTHON) -m pytest -q -n $(WORKERS) tests/faults/test_every_effect.py
	@$(PYTHON) -m tests.chaos --cycles $(or $(N),200) $(if $(SEED),--seed $(SEED))

install: ## vsspc for the BackupPC of this machine, in PREFIX=/opt/vsspc (root; needs python3-venv): docs/install.md
	@sh vsspc/packaging/install.sh "$(or $(PREFIX),/opt/vsspc)"

deb: ## the same as a Debian package, in DEB_DIR=.venv/deb (needs python3-venv): docs/install.md
	@sh vsspc/packaging/build-deb.sh "$(or $(DEB_DIR),.venv/deb)"

backuppc: setup ## stops, kills and failures in each phase of a dump or restore, on the real BackupPC server: what it shows, what is left
	@$(PYTHON) -m tests.backuppc.matrix --workers $(WORKERS)

audit: setup ## the locked versions against the advisory services (needs them to be reached)
	@$(PYTHON) -c 'import pip_audit' 2>/dev/null || $(PIP) 'pip-audit>=2.7'
	@$(PYTHON) -m pip_audit --strict --disable-pip --require-hashes -r $(LOCKS)/all.txt -r $(LOCKS)/build.txt

security: setup ## what others may do to us: malicious hosts, servers and men in the middle; the last line counts
	@$(PYTHON) -m tests.security -n $(WORKERS)

fuzz: setup ## everything that reads from outside, fed with noise for T seconds (T=120); atheris where it can be had
	@$(PYTHON) -c 'import atheris' 2>/dev/null || $(PIP) 'atheris>=3.0' || echo 'fuzz: without atheris'
	@$(PYTHON) -m tests.security.fuzz --seconds $(or $(T),120)

bench: setup ## what vsspc costs beside what Windows itself needs: tables, JSON, targets (B="--quick"; root for all of it): docs/speed.md
	@$(PYTHON) -m tests.bench $(B)

docs: setup ## the documents as a site, in .venv/site, after writing what in them is generated
	@$(PYTHON) -m tests.docs.generate
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict -f vsspc/packaging/mkdocs.yml
	@echo 'docs: .venv/site/index.html'

screenshots: setup ## the pictures in the documents, made anew: a dump on BackupPC's page, check, a run's timeline
	@$(PYTHON) -m tests.docs.screenshots

newcomer: setup ## what README tells a newcomer to do, from a clean clone, timed: a first dump; what is wrong with a host (root)
	@$(PYTHON) -m tests.newcomer
