# Everything is built in .venv; `make` alone lists what can be done.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PRESET := cpu
CXX_FILES := $(wildcard native/*/*.cc native/*/*.h)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kafka check bench bench-streams bench-stt native test-native check-native docs clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the product, its development tools and the default model; nothing when up to date

$(READY): pyproject.toml
	@for python in python3.11 python3 python3.12 python3.13 python3.14 none; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; \
	if [ "$$python" = none ]; then \
		echo "voicestream needs Python 3.11 or newer, and neither python3.11 nor python3 is: install it and try again." >&2; \
		exit 1; \
	fi; \
	test -x $(BIN)/python || "$$python" -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "$$python makes no virtual environment: install its venv module (Debian: apt-get install python3-venv)." >&2; \
		exit 1; \
	}
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/voicestream models pull tiny.en
	$(BIN)/voicestream models pull tiny.en-ctranslate2
	@touch $@

demo: setup ## start everything, play calls, show what becomes of them
	$(BIN)/voicestream demo

test: setup ## every test that needs no more than the embedded parts
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-kafka: setup ## semantics, recovery and rebalance on Apache Kafka; needs Java 17 and Maven, else skipped
	$(BIN)/python -m pytest tests/kafka -rs -n 2 --dist loadfile

check: setup ## ruff, mypy, schema compatibility, clang-format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/voicestream schemas check
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

bench: setup ## every benchmark but bench-stt; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks.run

bench-streams: setup ## the library beside its peers on real Kafka; writes its section of docs/benchmarks.md
	$(BIN)/python -m benchmarks.streams

bench-stt: setup ## engines of speech to text side by side, 20 minutes; installs torch (some GB); SPEECH=MANIFEST.tsv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench-stt]'
	@for preset in cpu cpu-native; do \
		native/scripts/build.sh $$preset || echo "bench-stt: without the native server of the preset $$preset" >&2; \
	done
	$(BIN)/python -m benchmarks.stt $(if $(SPEECH),--speech '$(SPEECH)') $(if $(MINUTES),--minutes $(MINUTES)) $(if $(CLIPS),--clips $(CLIPS))

native: ## the C++ server for speech to text, in build/native/cpu; PRESET= takes another one; see native/README.md
	@native/scripts/build.sh $(PRESET)

test-native: ## build it and run its tests, PRESET=asan and tsan under sanitizers; skipped without its packages
	@native/scripts/test.sh $(PRESET)

check-native: native ## clang-tidy over the C++ sources
	cmake --build build/native/$(PRESET) --target tidy

docs: setup ## write docs/reference.md from the docstrings
	$(BIN)/python docs/reference.py

clean: ## remove what was built and what runs have left; the models stay in their cache
	rm -rf $(VENV) .voicestream build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
