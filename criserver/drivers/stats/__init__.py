"""Readings of what pods use (port `Stats`): pure parsing in `cgroup`, `network` and `limits`, reading in the others."""
