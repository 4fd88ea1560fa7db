"""The servers whose configuration can be translated: each has a table of its keys, which `rules` applies."""

from criserver.config.translate import containerd, crio

FROM = {"containerd": containerd.RULES, "crio": crio.RULES}
