"""A stand-alone container monitor: zygote, one monitor per container, exec sessions and pod inits, and their client.

The package knows OCI runtimes (runc, crun), pipes, ptys and the CRI log format. It does not know the CRI itself, pods'
networks, images or any database, and it imports nothing beyond the standard library.

Two halves, which meet only in ``protocol`` (packets) and ``records``/``requests`` (what the packets say):

* what the zygote loads (``zygote``, ``monitor``, ``session``, ``podinit`` and what they import) lives once per
  container and is held to the import budget that ``zygote`` states;
* what a client loads (``client``, ``starter``, ``connection``, ``records``, ``__main__``) may use asyncio and
  dataclasses.

This module stays empty, since importing any part of the package runs it.
"""
