"""The commands. Each is a module with HELP, `arguments` and `run`; what is heavy is imported when it runs.

A command turns arguments into one call and its outcome into text and an exit code: 0 done, 1 failed, 2 used wrongly.
"""
