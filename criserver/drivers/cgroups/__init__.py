"""Pods' cgroups, with the cgroupfs driver or the systemd driver, and their limits."""
