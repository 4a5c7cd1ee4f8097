# make check     what must pass before a commit
# make help      the rest
GO        ?= go
FUZZTIME  ?= 10s
PKG       ?= ./...
NODES     ?= 3
COMPOSE   ?= docker compose -f docker-compose.kafka.yml
PROGRAMS  := ingest poller reconciler rampctl

.DEFAULT_GOAL := help
.PHONY: help build check test race lint vet fmt tidy vuln fuzz cover integration kafka-up kafka-down demo image compose-up compose-down clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## static binaries in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

check: fmt vet tidy race clean-tree ## everything a commit needs, without a network or a Kafka
test: ## tests, fast
	$(GO) test -shuffle=on $(PKG)
race: ## tests with the race detector
	$(GO) test -race -shuffle=on $(PKG)
vet: ## go vet
	$(GO) vet $(PKG)
fmt: ## fails if a file is not gofmt'ed
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt -w $$out"; exit 1; }
tidy: ## fails if go.mod and go.sum are not tidy
	$(GO) mod tidy -diff

.PHONY: clean-tree
clean-tree: # generated and golden files must be committed as they come out
	@git diff --exit-code --stat -- '*testdata*' schemas || { echo 'tests rewrote the files above'; exit 1; }

lint: ## golangci-lint with .golangci.yml (v2)
	golangci-lint run
vuln: ## known vulnerabilities in what is linked
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

fuzz: ## every fuzz target for FUZZTIME (10s; nightly 30m)
	@for pkg in $$($(GO) list $(PKG)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg || exit 1; \
	  done; \
	done

.PHONY: mutants
mutants: ## breaks the code on purpose; every mutant must fail a test
	scripts/mutants

cover: ## statement coverage by function, lowest first
	$(GO) test -coverprofile=coverage.out -coverpkg=./internal/... $(PKG)
	$(GO) tool cover -func=coverage.out | sort -k3 -n | head -40

integration: ## the scenarios on NODES real Kafka nodes, as processes (Java 17; Maven the first time)
	@set -e; trap 'scripts/kafka down' EXIT; export $$(scripts/kafka up $(NODES)); \
	  REAL_KAFKA=required $(GO) test -count=1 -timeout 20m ./integration/...
.PHONY: crash
crash: ## kills brokers and programs for FOR (1m) on a cluster of its own, on SEED (drawn)
	$(GO) run ./integration/crash -for $(or $(FOR),1m) -seed $(or $(SEED),0)
kafka-up: ## NODES real Kafka nodes and a registry; prints KAFKA_BROKERS and REGISTRY_URL
	scripts/kafka up $(NODES)
kafka-down: ## stop them and remove their data
	scripts/kafka down

demo: ## the whole ring in one process, with simulated providers
	$(GO) run ./cmd/rampctl demo

image: ## the container image
	docker build -f deploy/Dockerfile -t rampstream:local .
.env: ## random secrets for the compose file
	@umask 077; for name in SHOP_TOKEN KADO_PUBLIC_KEY KADO_PRIVATE_KEY KADO_WEBHOOK_SECRET; do \
	  echo "$$name=$$(openssl rand -hex 24)"; done > $@
compose-up: .env ## Kafka, registry and the programs in containers
	$(COMPOSE) up --build
compose-down: ## stop them and remove their data
	$(COMPOSE) down --volumes

clean: ## remove what was built
	rm -rf bin coverage.out
