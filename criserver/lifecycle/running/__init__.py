"""Pods and containers: made, started, executed in, changed, stopped, removed."""
