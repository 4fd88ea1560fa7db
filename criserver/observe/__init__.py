"""What the server tells of itself: log lines with the names of the pod and container at hand, and stage timings.

Modules log through the standard library's `logging`; only `app` and commands call `log.configure`. Nothing here knows
gRPC, the CRI or what a pod is.
"""
