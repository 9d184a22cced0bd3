# Turnpike: everything is started from here. `make` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Where `make dev` listens; which policies are embedded, and as which environment's.
export PORT ?= 8787
export POLICIES ?= policies
export TURNPIKE_ENV ?= dev

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Node 22, wrangler, the Wasm compiler and its tools, for the commands that need them.
# Native cargo commands go without: the Wasm compiler may be another one.
TOOLS := set -euo pipefail; environment=$$(scripts/bootstrap --env); eval "$$environment";

.PHONY: help dev test build artifact cli fuzz tree real-documents bench bench-tree scale size lint fmt dry-run clean
.PHONY: test-native test-books test-policies test-wasm test-e2e test-cold

help: ## List these commands
	@echo 'Turnpike. Commands (each sets up by itself what it needs):'
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1	\2/' | expand -t 24
	@echo 'Variables: PORT=8787 (dev), POLICIES=policies, TURNPIKE_ENV=dev'

dev: ## Build the Worker and serve it on 127.0.0.1:8787; rebuilds on change
	@scripts/dev

test: ## Run every test, natively, in Wasm and end to end, and check the size
	@scripts/bootstrap build test
	@$(MAKE) test-native
	@$(MAKE) test-books
	@$(MAKE) test-policies
	@$(MAKE) test-wasm
	@$(MAKE) build
	@$(MAKE) test-e2e
	@$(MAKE) size
	@echo 'make test: all passed'

test-native: ## Only the tests that need no Wasm: cargo test --workspace
	cargo test --workspace

test-books: ## The meter against its books, 4,000,000 operations (cargo test runs 200,000)
	BOOKS=$${BOOKS:-1000000} cargo test --package turnpike-engine --profile cli --test books -- --nocapture

test-policies: ## Only the tests of the policies (policies/tests), as `turnpike test` runs them
	@$(MAKE) cli
	$(TARGET)/release/turnpike test

test-wasm: ## Only the tests inside Wasm (wasm-bindgen-test)
	@$(TOOLS) cargo test --package turnpike --lib --target wasm32-unknown-unknown

test-e2e: ## Only the end-to-end tests, against what `make build` built (TESTS=tests/x.test.mjs for some)
	@scripts/bootstrap build test
	@$(MAKE) cli
	@$(TOOLS) tests=$${TESTS:-$$(find tests -name '*.test.mjs' | sort)}; \
	[ -n "$$tests" ] || { echo 'there is no tests/*.test.mjs' >&2; exit 1; }; \
	node --test --test-reporter=spec $$tests

test-cold: ## The road of a stranger: a fresh clone, empty caches, make dev (minutes, 300 MB; not of `make test`)
	@scripts/test-cold

build: ## Build the Worker for deployment into build/
	@scripts/build

# `wrangler deploy --no-bundle` takes it, also when the commit it came from is long gone: that is a rollback.
artifact: ## Build what can be deployed, and deployed again later (TURNPIKE_ENV=production)
	@$(TOOLS) node scripts/artifact.mjs

cli: ## Build the `turnpike` command: target/release/turnpike
	cargo build --package turnpike-cli --profile cli
	@mkdir -p $(TARGET)/release && cp $(TARGET)/cli/turnpike $(TARGET)/release/turnpike
	@echo '$(TARGET)/release/turnpike'

fuzz: ## Damage policy trees, documents, tokens and key sets at random and look what comes of it (MINUTES=10, of each)
	@# What one of them finds is no reason not to play the other; and either has the whole fail.
	export FUZZ_MINUTES=$${MINUTES:-10} FUZZ_SEED=$${SEED:-$$(date +%s)}; failed=; \
		cargo test --package turnpike-policy --profile cli --test fuzz -- --nocapture || failed=yes; \
		cargo test --package turnpike-engine --profile cli --lib fuzz:: -- --nocapture || failed=yes; \
		[ -z "$$failed" ]

tree: ## Write a large policy tree to measure with (APIS=1000 OUT=dir)
	@$(TOOLS) node scripts/tree.mjs --apis "$${APIS:-1000}" --out "$${OUT:?name a folder: make tree OUT=dir}" --seed "$${SEED:-1}"

real-documents: ## Read what others wrote, from packages of the npm registry: OpenAPI documents, and what Kong makes of them
	@$(MAKE) cli
	@$(TOOLS) FETCH=1 node --test --test-reporter=spec tests/documents.test.mjs tests/imports.test.mjs

bench: ## Measure it beside the platform's floor and its peers (bench/README.md)
	@scripts/bootstrap build
	@$(MAKE) cli
	@$(TOOLS) node bench/run.mjs

bench-tree: ## Measure what a tree of 1,000 APIs costs to check, to build, to start and to run (APIS=1000)
	@$(TOOLS) node bench/tree.mjs

scale: ## Simulate it past one machine, and write docs/scale.md (some 7 minutes; QUICK=1: seconds, and nothing is written)
	cargo run --package turnpike-sim --profile cli -- $(if $(QUICK),--quick,docs)

size: ## Measure the Worker's size and start-up time; fails above the budget
	@# `make dev` leaves a build there that is quick to make, and larger than what is deployed.
	@grep -qs '^release ' build/.of || scripts/build
	@$(TOOLS) node scripts/size.mjs

# Each is built with its own policies, as a deployment is. (`make test` does the same in a copy.)
dry-run: ## Have wrangler prepare a deployment of each environment without deploying it
	@$(TOOLS) for environment in '' staging production; do \
		echo "wrangler deploy --dry-run --env '$$environment'"; \
		wrangler deploy --dry-run --env "$$environment" --outdir "build/deploy/$${environment:-dev}"; \
	done

lint: ## Check format, lints (native, Wasm, JavaScript) and dependencies
	@scripts/bootstrap build lint
	cargo fmt --all --check
	cargo clippy --workspace --exclude turnpike --all-targets -- -D warnings
	@$(TOOLS) set -x; \
	$$TURNPIKE_CARGO_CLIPPY clippy --package turnpike --all-targets --target wasm32-unknown-unknown -- -D warnings; \
	$$TURNPIKE_CARGO_CLIPPY clippy --package turnpike-core --lib --target wasm32-unknown-unknown -- -D warnings; \
	$$TURNPIKE_CARGO_CLIPPY clippy --package turnpike --package turnpike-core --lib --features faults --target wasm32-unknown-unknown -- -D warnings; \
	oxlint --deny-warnings
	@$(TOOLS) node scripts/dependencies.mjs
	@# Known faults of dependencies stand in a database that must be fetched.
	@if ! cargo deny --version >/dev/null 2>&1; then \
		echo '*** NOT LOOKED AT: advisories of the dependencies, as cargo-deny is not installed.'; \
		echo '***                To look here too (it takes minutes): cargo install --locked cargo-deny'; \
	elif ! cargo deny fetch db; then \
		echo '*** NOT LOOKED AT: advisories of the dependencies, as their database cannot be fetched from here.'; \
	else \
		cargo deny check --disable-fetch advisories; \
	fi

fmt: ## Format the code
	cargo fmt --all

clean: ## Remove what was built here (not the shared set-up in the cache)
	rm -rf $(TARGET) build .wrangler
