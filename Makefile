GO       ?= go
FUZZTIME ?= 30s
TWIN     ?= 10000000
TORTURE  ?= 1h
SEED     ?= 0
BENCH    ?= .

.PHONY: help check test race history nemesis torture twin demo bench bench-peers build fuzz pictures

help: ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-18s  %s\n", $$1, $$2}'

check: ## exactly what is checked before a change goes in
	@.ci/run

test: ## the tests
	$(GO) test ./...

race: ## the tests with the race detector
	$(GO) test -race ./...

history: ## recorded histories of four minutes: of three nodes, with an expiry, and of five
	@.ci/run history

nemesis: ## three minutes of what befalls sites, and planted mistakes, all found
	@.ci/run nemesis

torture: ## five nodes and the nemesis for an hour; TORTURE=10m, SEED=n repeats one
	$(GO) test -count=1 -timeout 0 -v -run Torture ./integration -torture $(TORTURE) -seed $(SEED)

twin: ## ten million random entries, to the rules and to their naive twin; TWIN=n for n
	$(GO) test -count=1 -timeout 30m -run TwinLong ./license -twin $(TWIN)

demo: ## the main job, step by step; stays up afterwards
	$(GO) run ./cmd/sitegate demo

bench: ## the benchmarks; BENCH=Name for some of them
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-peers: build ## starts and stops, against etcd and redis on this machine; ARGS='-rounds 5 -clients 1 -nodes 1', ARGS=notices for notices against centrifuge and bare websockets
	cd bench && $(GO) run . $(ARGS)

build: ## static binaries, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

fuzz: ## every fuzzer for FUZZTIME (30s)
	@set -e; grep -rHo '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | while IFS=: read -r file name; do \
		$(GO) test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")" </dev/null; \
	done

pictures: ## the pictures of the guides, docs/operator/images, by Chromium
	SITEGATE_TEST_BROWSER=1 SITEGATE_TEST_GUIDES=$(CURDIR)/docs/operator/images $(GO) test -count=1 -run PicturesOfTheGuides ./integration/console
