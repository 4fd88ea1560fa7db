# `make run` shows it, `make test` tests it; both need root and install what is missing.
.DEFAULT_GOAL := help
.PHONY: help run test test-critest test-races test-vm test-cluster check bench package venv clean test-package test-kubeadm

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 19

run: ## start the server, run a pod through it and show it; Ctrl-C takes both away (ARGS="--root DIR ...")
	@hack/run $(ARGS)

test: venv ## every test that can run here; the others say what they miss (ARGS="tests/unit -k name")
	@hack/test $(ARGS)

test-critest: venv ## critest with every OCI runtime, a current runc among them (ARGS="-k oom")
	@CRITEST_RUNTIMES="runc crun runc-current" hack/test tests/client/test_critest.py $(ARGS)

test-races: venv ## a thousand rounds of the races for the place of a mount, with each OCI runtime (ARGS="-k crun")
	@CRISERVER_RACE_ROUNDS=1000 hack/test tests/client/test_races.py $(ARGS)

test-vm: ## root and client tests in a Debian machine under qemu: cgroup v2, systemd, AppArmor (ARGS="tests/client -k oom")
	@hack/test-vm $(ARGS)

test-cluster: venv ## scenarios on a real Kubernetes cluster; builds Kubernetes at first, for half an hour
	@hack/tools --strict kubernetes etcd kubelet-1.36 kubelet-1.35 flannel
	@CLUSTER_TESTS=all hack/test tests/cluster $(ARGS)

test-package: venv ## the Debian package in a machine under qemu: installed, restarted, killed, upgraded, purged (ARGS=...)
	@hack/test-package $(ARGS)

test-kubeadm: venv ## a cluster by kubeadm in that machine, started anew with pods up; builds Kubernetes at first (ARGS=...)
	@hack/test-kubeadm $(ARGS)

check: venv ## style, types, layers, house rules
	@hack/check

bench: venv ## pods per second, latencies and memory, beside containerd where there is one
	@hack/packages test
	@hack/bench $(ARGS)

package: venv ## dist/: the wheel, the relocatable bundle and the Debian package, the same bytes each time
	@hack/package wheel && hack/package bundle && hack/package deb

venv: ## .venv with the project and its tools
	@hack/venv dev

clean: ## remove what the other targets made in this checkout
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
