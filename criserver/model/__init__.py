"""The nouns: what a pod sandbox, a container and an image are to this server.

Frozen values without behaviour beyond derived facts; no I/O, no gRPC, no kernel. Field names are the CRI's.
"""
