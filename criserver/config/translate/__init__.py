"""The configuration of another CRI server as one of ours: what can be said here, and by name what cannot.

Each server has a table of its keys (`containerd`, `crio`); `rules` applies a table. Pure, but for reading the file.
"""

from criserver.config.translate import containerd, crio
from criserver.config.translate.rules import Translation, translate

__all__ = ["FROM", "Translation", "translate"]

FROM = {"containerd": containerd.RULES, "crio": crio.RULES}
