"""The monitors of containers, and what comes through them: exits, execs, streams."""
