"""The host as containers meet it: its paths, devices and abilities, its clock, what is left on it."""
