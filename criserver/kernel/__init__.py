"""Where the server touches the kernel: the only package with ctypes, mounts, namespaces and spawned processes.

Modules here turn one kernel facility each into typed functions that raise OSError with the name of the call and the
path. They decide nothing, know no pods, and hold no state but thread pools. Drivers are their only users.
"""
