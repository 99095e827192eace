# The two commands of a newcomer are `make run` and `make test`.
SHELL := /bin/bash
GO ?= go
# go-nvml's deprecation warnings are not ours to fix.
export CGO_CFLAGS ?= -g -O2 -Wno-deprecated-declarations
# Builds use a temporary directory of their own: cgo would take a stray nvml.h
# from a shared one.
PRIVATE = tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && export TMPDIR="$$tmp" &&

.PHONY: run build test test-gpu faults mutants deps bench bench-decide web generate lint

## run: build and start a small cluster in this terminal (needs Go alone)
run: build
	@exec ./sluice dev $(ARGS)

build:
	@$(PRIVATE) $(GO) build -trimpath -o sluice ./cmd/sluice

# Packages without a goroutine: the race detector would find nothing and take
# ten times as long. They run beside the others, at a lower priority.
PURE = ./scheduler/decide/... ./scheduler/planner ./scheduler/sim
## test: everything that must pass
test: deps
	@$(PRIVATE) $(GO) vet ./... && $(GO) build -o "$$tmp/testsum" ./deploy/tools/testsum/main.go && set -o pipefail && { \
	{ nice $(GO) test -p 1 -json $(TESTFLAGS) $(PURE); nice $(GO) test -json ./scheduler/sim -args -seeds 2000; } > "$$tmp/pure.json" & \
	$(GO) test -race -json $(TESTFLAGS) $$($(GO) list ./... | grep -vxF "$$($(GO) list $(PURE))"); wait $$!; cat "$$tmp/pure.json"; } | \
	"$$tmp/testsum" $(if $(SKIPS),-skips $(SKIPS))

# A campaign of simulated clusters: SEEDS of them, or for as long as FOR (60m).
SEEDS ?= 10000
## faults: play simulated clusters under faults (SEEDS=10000, or FOR=60m)
faults:
	@$(PRIVATE) set -o pipefail && $(GO) test ./scheduler/sim -run TestSeeds -v -timeout 0 -args $(if $(FOR),-for $(FOR),-seeds $(SEEDS))

## mutants: break the committed program on purpose, one rule at a time, and see a test go red
mutants:
	@$(PRIVATE) $(GO) run ./deploy/tools/mutants/main.go $(MUTANTS)

## test-gpu: the drivers' conformance suite on this machine's NVIDIA GPUs; REPORT=FILE keeps what it saw
test-gpu:
	@$(PRIVATE) SLUICE_TEST_GPU=1 SLUICE_GPU_REPORT="$(abspath $(REPORT))" $(GO) test -count=1 -v -run '^TestRealGPU$$' ./agent/device/nvml

# What the tests use of Debian: gcc for the race detector and NVML, chromium for
# the page, procps to look at processes, clp to judge linear programs.
DEBIAN = gcc libc6-dev chromium procps coinor-clp
## deps: install what the tests need (Debian, as root; NO_DEPS=1 declines)
deps:
	@missing=""; for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(NO_DEPS)" ]; then echo "deps: declined; tests that need$$missing will skip or fail"; exit 0; fi; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "deps: please install what corresponds to Debian's$$missing (or set NO_DEPS=1)"; exit 0; fi; \
	echo "deps: installing$$missing (set NO_DEPS=1 to decline)"; \
	DEBIAN_FRONTEND=noninteractive apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

## bench: the table of figures
bench: build
	@$(PRIVATE) $(GO) run ./cmd/sluice/bench -sluice ./sluice

## bench-decide: the figures of the decision, one `name value unit` line each, a
## few minutes; FULL=1 is the campaign of hours
bench-decide: export GOMAXPROCS = 1
bench-decide:
	@if ! command -v clp >/dev/null || ! command -v cbc >/dev/null; then \
	  if [ -z "$(NO_DEPS)" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends coinor-clp coinor-cbc >/dev/null || true; fi; fi
	@$(PRIVATE) set -o pipefail; \
	$(GO) test ./scheduler/decide/lp -count=1 -timeout 0 -run '^TestAgreesWithClp$$' -v -args -instances $(if $(FULL),1500,1000) | sed -n 's/.* figure //p;s/.*SKIP.*/# clp comparison skipped: not installed/p;/^--- FAIL/p' && \
	$(GO) test ./scheduler/decide -count=1 -timeout 0 -run '^TestTinyFleetsEqualBruteForce$$' -v -args -tiny $(if $(FULL),10000,3000) | sed -n 's/.* figure //p;/^--- FAIL/p' && \
	$(GO) run ./cmd/sluice/bench/decide $(if $(FULL),-full) $(if $(ONLY),-only $(ONLY))

## web: rebuild the dashboard (needs Node.js and npm)
web:
	cd scheduler/api/web && npm install --no-save --no-audit --no-fund && npm test && npm run build

## generate: rebuild the generated code; the tools are built from their own module
generate:
	@$(PRIVATE) cd deploy/tools/buf && GOBIN="$$tmp/bin" $(GO) install tool && cd ../../../proto && PATH="$$tmp/bin:$$PATH" buf lint && PATH="$$tmp/bin:$$PATH" buf generate

## lint: formatting and vet
lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	@$(PRIVATE) $(GO) vet ./...
