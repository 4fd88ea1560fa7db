"""Exec, attach and port-forward: the streaming half of the CRI.

`wire/` holds the protocols without I/O; the server, its sessions and its tokens live beside it.
"""
