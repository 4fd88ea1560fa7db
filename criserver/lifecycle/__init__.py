"""Decisions: what a CRI call means for pods, containers and images, in which order, and how it is undone.

Knows rows (`state/`) and powers (`ports/`), never a driver, the kernel or gRPC.
"""
