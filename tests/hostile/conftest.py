"""The scripts are for a process of their own: no tests, and not importable from here."""

collect_ignore = ["mutations.py", "victim.py"]
