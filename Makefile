# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
# Nothing is needed beforehand but Python 3.11 or newer, make and ssh-keygen (OpenSSH's client).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
WORKERS ?= 2
export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1

.PHONY: demo demo-live test slow prove fixture check fix screenshots reference bench-duplicates bench-rows bench-drift bench-gates bench-training bench-answering bench-headline bench-writes clean help

help:            ## list what there is
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## */\t/'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "distill-tui needs Python 3.11 or newer; name one: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): torch, transformers, Textual and the rest; this takes some minutes the first time."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,sample,endpoint,launch,serve]'
	@touch $(READY)

demo: $(READY)   ## open the sample project while a driver does its real work (ARGS=--headless: one line a stage, and a summary)
	@$(BIN)/python sample_projects/feedback_sentiment/make_project.py demo $(ARGS)

demo-live: $(READY)  ## replay a shipped student whose traffic shifts: alarm, refresh, recovery, with the figures of each
	@$(BIN)/python sample_projects/feedback_live/replay.py demo-live --demo demo $(ARGS)

.PHONY: demo-serve
demo-serve: $(READY)  ## a play behind its gateway: capture, ship, shadow, canary, cascade, drift, fall-back, refresh
	@$(BIN)/python sample_projects/gateway/serve_play.py demo-gateway

.PHONY: check-deploy
check-deploy:    ## check deploy/ with systemd-analyze, docker compose and promtool, as far as they are installed
	@deploy/check.sh

.PHONY: bench-serving
bench-serving: $(READY)  ## the gateway next to the student alone and to LiteLLM's proxy (needs wrk; ARGS='--litellm PROGRAM')
	@$(BIN)/python benchmarks/serving.py $(ARGS)

.PHONY: demo-extract
demo-extract: $(READY)  ## make the second sample: a student that extracts the parts of addresses (ARGS=--headless: figures)
	@$(BIN)/python sample_projects/address_extraction/extract.py demo-extract $(ARGS)

.PHONY: demo-scores
demo-scores: $(READY)  ## make the sample of scores: a small scorer learns from a panel of judges (ARGS=--headless: figures)
	@$(BIN)/python sample_projects/judge_scores/judge.py demo-scores $(ARGS)

.PHONY: demo-tags
demo-tags: $(READY)  ## make the sample of several labels: a student that tags Debian's packages (ARGS=--headless: figures)
	@$(BIN)/python sample_projects/package_tags/tag.py demo-tags $(ARGS)

.PHONY: demo-licences
demo-licences: $(READY)  ## make the sample of long texts: a student that sorts licences of 2,600 tokens (ARGS=--headless: figures)
	@$(BIN)/python sample_projects/licence_texts/sort.py demo-licences $(ARGS)

# A test of a real terminal, socket or worker can miss its time on a machine that is busy with the other tests: what
# failed runs once more with nothing beside it. What fails again fails the run; what then passes was told twice above.
test: $(READY)   ## the tests; REQUIRE_ALL=1: fail where a program is missing that some of them use
	@$(BIN)/python -m pytest -n $(WORKERS) --durations=25 $(ARGS) || { [ $$? = 1 ] && \
	  echo "Tests failed. Each of these runs once more, alone:" && \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures=none -n 0 -v $(ARGS); }

slow: $(READY)   ## the proofs that take minutes
	@$(BIN)/python -m pytest -m slow --hypothesis-profile=default $(ARGS)

check: $(READY)  ## ruff, mypy, the import contracts, and the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(MAKE) --no-print-directory test

.PHONY: house
house: $(READY)  ## figures of the code: lines, import cycles, deferred imports, largest files
	@$(BIN)/python tests/support/house.py

fix: $(READY)    ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

screenshots: $(READY)  ## draw docs/screens/*.svg from the sample of `make demo`
	@$(BIN)/python sample_projects/feedback_sentiment/screenshots.py demo docs/screens

.PHONY: cast
cast: $(READY)     ## draw docs/screens/demo.svg: the demo as it happens, animated
	@$(BIN)/python sample_projects/practice/cast.py docs/screens/demo.svg

.PHONY: snapshots
snapshots: $(READY)  ## write tests/screens again: every screen as text, at both sizes; read the difference
	@WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/test_snapshots.py

.PHONY: bench-screens
bench-screens: $(READY)  ## first frame, keys, filter, bytes and memory of the screens, compared with a bare app and two peers
	@$(BIN)/python benchmarks/screens.py $(ARGS)

.PHONY: bench-commands
bench-commands: $(READY)  ## CPU seconds of the commands that only read, on a play that has shipped
	@$(BIN)/python benchmarks/commands.py $(ARGS)

.PHONY: bench-sessions
bench-sessions: $(READY)  ## sessions over SSH: twenty at once, terminals dropped while runs go on
	@$(BIN)/python benchmarks/sessions.py $(ARGS)

reference: $(READY)    ## write docs/cli.md from the table of commands
	@$(BIN)/distill-tui spec --markdown > docs/cli.md

bench-gates: $(READY)  ## false passes, false ships, power and kill advice of the gate; its kernel against scipy
	@$(BIN)/python benchmarks/gate_errors.py $(ARGS)
	@$(BIN)/python benchmarks/gate_oracles.py

.PHONY: bench-thresholds
bench-thresholds: $(READY)  ## how often a deferral threshold keeps its share on the next rows, with headroom and without (ARGS=CACHE_FOLDER)
	@$(BIN)/python benchmarks/thresholds.py $(ARGS)

bench-duplicates: $(READY)  ## near duplicates at a million rows, compared with datasketch and rensa
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/duplicates.py $(ARGS)

.PHONY: bench
bench: bench-training bench-answering  ## training, labelling and evaluation compared with transformers' own, some ten minutes

bench-training: $(READY)  ## the training loop compared with transformers.Trainer and with the machine's limit
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/training.py $(ARGS)

bench-answering: $(READY)  ## labelling and evaluation compared with transformers.pipeline
	@$(BIN)/python benchmarks/answering.py $(ARGS)

.PHONY: bench-lengths
bench-lengths: $(READY)  ## seconds and memory of every student and local teacher by the length of a text; some ten minutes
	@$(BIN)/python benchmarks/long_texts.py $(ARGS)

.PHONY: bench-generation
bench-generation: $(READY)  ## students that generate: training and answering, compared with transformers' Trainer and pipeline
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/generation.py $(ARGS)

.PHONY: bench-writing
bench-writing: $(READY)  ## students of SmolLM2 on real lines, through a project (ARGS=CACHE_FOLDER; about half an hour of one core)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/writing.py $(ARGS)

.PHONY: bench-lora
bench-lora: $(READY)  ## SmolLM2 with low-rank adapters on 2,000 real lines, to a verdict (ARGS=CACHE_FOLDER)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/lora.py $(ARGS)

.PHONY: bench-extraction
bench-extraction: $(READY)  ## a student that copies, normalises and chooses next to its teacher, through a play; some minutes
	@$(BIN)/python benchmarks/extraction.py $(ARGS)

.PHONY: bench-first-hour
bench-first-hour: $(READY)  ## seconds from `distill-tui demo` and `make demo` to the board and to each verdict
	@$(BIN)/python benchmarks/first_hour.py $(ARGS)

.PHONY: bench-observe
bench-observe: $(READY)  ## what observe takes beyond the student's own work
	@$(BIN)/python benchmarks/observe.py $(ARGS)

bench-headline: $(READY)  ## the ladder on real text, three seeds, with controls (ARGS=CACHE_FOLDER; hours on a slow machine)
	@$(BIN)/python benchmarks/headline.py $(ARGS)

bench-writes: $(READY)  ## the cost of a write with a short and a long log, and with eight writers compared with SQLite's own waiting
	@$(BIN)/python benchmarks/writes.py $(ARGS)

prove: $(READY)  ## the proofs that take hours: kills, failing disks, races, damage, hostile input; continues where it stopped (ARGS='--scale 0.1')
	@$(BIN)/python proofs/run.py $(ARGS)

.PHONY: prove-elsewhere
prove-elsewhere: $(READY)  ## a bundle, its verdict and a retraining with other thread counts; on another machine: ARGS='check FOLDER'
	@$(BIN)/python proofs/elsewhere.py $(ARGS)

.PHONY: bench-arms
bench-arms: $(READY)  ## training runs of several arms, one arm after the other and two at once, with the same weights
	@$(BIN)/python benchmarks/arms.py $(ARGS)

.PHONY: bench-plays
bench-plays: $(READY)  ## verdicts on real data whose truth is known, and of the same student with another seed (ARGS=CACHE_FOLDER)
	@$(BIN)/python benchmarks/real_plays.py $(ARGS)

.PHONY: bench-tasks
bench-tasks: $(READY)  ## the same for plays of scores and of several labels, and a judge that is asked twice (ARGS=CACHE_FOLDER)
	@$(BIN)/python benchmarks/real_tasks.py $(ARGS)

.PHONY: licences
licences: $(READY)  ## write docs/licences.md: what the program is built on, and under which licences
	@$(BIN)/python tests/support/licences.py

.PHONY: fuzz
fuzz: $(READY)   ## 10,000 damaged requests in each wire format of the gateway, and as many damaged replies of a teacher
	@$(BIN)/python proofs/run.py --subject wire_formats --again $(ARGS)

fixture: $(READY)      ## write tests/fixtures for the present format of the project file, before it is released
	@$(BIN)/python tests/test_releases.py

.PHONY: fixture-elsewhere
fixture-elsewhere: $(READY)  ## write what every other machine checks: a signed bundle, its data, and this machine's processor
	@$(BIN)/python tests/test_elsewhere.py

bench-rows: $(READY)     ## browse a million rows, compared with pandas
	@$(BIN)/python benchmarks/rows.py $(ARGS)

.PHONY: bench-size
bench-size: $(READY)     ## a 5 GB import and a million rows built by the real commands: seconds and peak memory
	@$(BIN)/python benchmarks/size.py $(ARGS)

.PHONY: bench-people
bench-people: $(READY)   ## an hour of 50 plays, 10 boards, 4 gateways, 8 workers and 8 writers on one project file
	@$(BIN)/python benchmarks/people.py $(ARGS)

.PHONY: bench-scale
bench-scale: $(READY)    ## import, label, build, freeze and browse of 10^5, 3·10^5 and 10^6 rows: seconds, CPU, memory, growth; duplicates and their peers
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/scale.py $(ARGS)

.PHONY: bench-monitoring
bench-monitoring: $(READY)  ## the audit channel over a year of hourly looks: false alarms, delays, what its share costs
	@$(BIN)/python benchmarks/monitoring.py $(ARGS)

bench-drift: $(READY)  ## false alarms and delays of the drift monitor, compared with river's on the same streams
	@$(BIN)/python benchmarks/drift.py $(ARGS)

clean:           ## remove the environment and the sample
	@rm -rf $(VENV) demo demo-live demo-gateway
