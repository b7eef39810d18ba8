# Needs Go, Node.js 20 and npm; the other tools come by scripts/tools.sh: pinned into .tools, and some from Debian.

SHELL := /bin/bash
export CGO_ENABLED := 0

GO      ?= go
TIMEOUT ?= 30m
FORGE    = .tools/bin/forge

.DEFAULT_GOAL := help
.PHONY: help tools build page deb container test testnet demo bench lint fuzz generate check

help: ## print these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## install what tests need: into .tools, and from Debian Chromium, Mosquitto, two Python modules, systemd, podman and qemu
	@scripts/tools.sh

build: page ## build bin/cairn, bin/cairn-verify, bin/cairn-demo and the page
	$(GO) build -trimpath -ldflags='-s -w' -o bin/ ./cmd/...

page: ## build the page that checks proofs, bin/cairn-verify.html, and what else the gateway serves
	@mkdir -p bin
	@scripts/page/chart.sh
	$(GO) run ./scripts/page -o bin/cairn-verify.html -gzip cmd/cairn/web/dist/verify.html.gz

deb: ## build the Debian packages into bin, for amd64, arm64 and armhf (ARCHITECTURES, VERSION)
	scripts/package/deb.sh bin

container: ## build the image cairn with podman, buildah or docker
	scripts/package/container.sh

test: tools build ## run every test: the contract's, then the code's and the stories
	$(FORGE) test --offline --use $(CURDIR)/.tools/bin/solc --root contracts
	$(GO) vet ./...
	$(GO) test -timeout $(TIMEOUT) ./...
	@[ "$$(id -u)" -eq 0 ] || echo "not tested: the package on a Debian that boots, and the image: both take root"

testnet: ## run the anchoring suite on public chains named by CAIRN_TESTNET_… variables; alone it prints them
	@scripts/testnet.sh

demo: build ## a gateway, a chain and a few radio nodes: from a frame to a verified proof (KEEP=1: the console stays open)
	bin/cairn-demo

bench: ## measure speed, memory and disk beside their targets (COUNT=3)
	scripts/bench.sh

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags testnet ./anchor/...
	$(GO) vet -tags ntfy ./ingest/alert
	$(GO) tool staticcheck ./...

fuzz: ## run each fuzz target for a while (FUZZTIME=10s)
	scripts/fuzz.sh

generate: tools ## write the contract's generated Go files
	scripts/generate.sh

check: tools lint ## generated files unchanged, lint, builds for ARM, 32 bits and WebAssembly
	scripts/check-generated.sh
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/...
	GOOS=linux GOARCH=arm GOARM=6 $(GO) build -o /dev/null ./cmd/...
	GOOS=linux GOARCH=386 $(GO) vet ./...
	GOOS=js GOARCH=wasm $(GO) build -o /dev/null ./cmd/cairn-verify
