"""The durable facts, in one SQLite file; the only place that imports sqlite3.

Rows are the truth of what was asked and promised; each repository keeps its rows in memory as well (loaded once at
start, changed only after the commit), so that reading never waits for a disk or a thread.
"""
