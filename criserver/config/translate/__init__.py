"""The configuration of another CRI server as one of ours: what can be said here, and by name what cannot."""
