"""The unpack helper: turns layer blobs into directory trees that overlayfs can stack, in a process of its own.

Everything here runs in that process, on bytes that an attacker may have written, inside the directory that is being
filled and nowhere else. Import budget: the standard library's builtins, hashlib, ctypes and json, and isal, which
inflates twice as fast as zlib; zstandard only for a layer that needs it. Nothing of the server may be imported, and the
server may import nothing but `protocol`.
"""
