"""One Protocol for each power outside this process: what `lifecycle/` may ask for, and nothing of how it is done.

`drivers/` implement these, `app` pairs them, tests bring fakes under the same names. Every method is cancel-safe and
idempotent where its docstring says so; all raise only errors of `criserver.errors`.
"""
