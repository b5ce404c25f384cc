# Every command works on a fresh machine: what it needs, it installs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PACKAGES := chromium curl default-jre-headless firefox-esr fonts-noto-cjk gnutls-bin libnss3-tools libstrongswan-standard-plugins \
  openssl poppler-utils postgresql strace strongswan-pki systemd util-linux \
  desktop-file-utils libegl1 libtpm2-pkcs11-1 libtpm2-pkcs11-tools libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
  libxcb-render-util0 libxcb-shape0 libxkbcommon-x11-0 opensc shared-mime-info softhsm2 swtpm tpm2-tools xdg-utils xdotool xvfb

SUITE := -n 2 --dist loadfile --no-loadscope-reorder -m "not soak"

.PHONY: demo test check coverage soak bench pictures format requirements packages

demo: $(VENV)/run.stamp
	@$(BIN)/sekisho demo $(ARGS)

check: $(VENV)/test.stamp
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/unit -q -n 2 --dist loadfile --disable-socket --allow-unix-socket

test: packages $(VENV)/test.stamp
	$(BIN)/pytest $(SUITE) $(ARGS)

# The same tests, and what of the code they never reach; it takes half as long again.
coverage: packages $(VENV)/test.stamp
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest $(SUITE) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered | tail -n 40

soak: packages $(VENV)/test.stamp
	$(BIN)/pytest -m soak $(ARGS)

# Of Debian's packages it needs PostgreSQL, and SoftHSM for issuance in a token.
bench: PACKAGES := postgresql softhsm2 util-linux
bench: packages $(VENV)/test.stamp
	$(BIN)/sekisho bench --write docs/reference/bench.json $(ARGS)

# The pictures of all pages in docs/pages, from the walks that the tests take.
pictures: packages $(VENV)/test.stamp
	SEKISHO_SCREENSHOTS=$(CURDIR)/.pictures $(BIN)/pytest -q -n 2 --dist loadfile \
	  $(wildcard tests/browser/test_screens_*.py)
	$(BIN)/python -m tests.support.pictures .pictures docs/pages

format: $(VENV)/test.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Pins with hashes and without any registry's address. Needs uv.
requirements:
	cd requirements && for name in run tegata test; do \
	  uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
	    --custom-compile-command "make requirements" $$name.in -o $$name.txt; done

packages:
	@missing=""; for name in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$name 2>/dev/null | grep -q "ok installed" || missing="$$missing $$name"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then as=""; else as="sudo"; fi; \
	  $$as apt-get update -q && \
	  $$as env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Sekisho needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: $(BIN)/python requirements/run.txt requirements/tegata.txt pyproject.toml src/tegata/pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/run.txt -r requirements/tegata.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e src/tegata
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements/test.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@
