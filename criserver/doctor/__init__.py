"""The doctor: looks at a host, before a server runs on it and after, and says what it means for pods.

Each topic is a module with `read`, which looks and decides nothing, and `judge`, which is pure. Nothing is changed on
the host: what is tried, is tried in namespaces and directories that are gone afterwards.
"""
