# Everything here runs from a clean clone with Go alone; `make test` says what
# else it needs and installs it.
GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
MODULE  := github.com/tandem-san/tandem

# The packages that decide and never wait have no goroutines, so the race
# detector would only slow them down.
PURE := ./ctlconf ./ha ./iscsi ./scsi ./sim ./cmd/tandem-sim

# How many lives of a cluster are simulated, and from which seed on.
SEEDS ?= 20000
FIRST ?= 0

# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 10m

# How long `make soak` goes on.
DURATION ?= 1h

.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: build test deps check unit sim sim-nightly e2e soak fuzz fuzz-short clean help

build: ## build bin/tandem, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tandem ./cmd/tandem

test: deps build check unit sim e2e ## install what is missing, then build, check and test everything

deps: ## install the clients that the tests use, where they are missing
	@scripts/install-test-deps

check: ## gofmt, vet (Linux and FreeBSD), staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	GOOS=freebsd $(GO) vet ./...
	$(GO) tool staticcheck ./...

unit: ## the tests beside the code, with the race detector where goroutines are
	$(GO) test $(PURE)
	$(GO) test -race $$($(GO) list ./... | grep -vxE '$(MODULE)/(ctlconf|ha|iscsi|scsi|sim|cmd/tandem-sim|e2e|e2e/nemesis)')

sim: ## SEEDS simulated lives of clusters, from FIRST on; then the planted bugs must be caught
	$(GO) test ./sim -count=1 -timeout 5m -run TestEveryPromise -seeds $(SEEDS) -first $(FIRST)
	$(GO) test ./sim -count=1 -timeout 15m -tags mutants -run TestEveryPlantedBug -v

sim-nightly: ## a million lives; when stopped, go on with FIRST=n as it says
	$(GO) test ./sim -count=1 -timeout 0 -run TestEveryPromise -seeds 1000000 -first $(FIRST) -progress 30s -v

e2e: ## real processes and real clients
	$(GO) test ./e2e ./e2e/nemesis -p 1 -count=1 -timeout 25m

soak: deps ## clusters that are broken in many ways, one after the other, for DURATION
	$(GO) test ./e2e/nemesis -count=1 -v -timeout 0 -run TestSoak -soak $(DURATION)

fuzz: ## every fuzz target, FUZZTIME each
	@scripts/fuzz $(FUZZTIME)

fuzz-short: ## every fuzz target, 3 seconds each
	@scripts/fuzz 3s

clean: ## remove what was built
	rm -rf bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
