"""Measures Sekisho against limits of the same machine in the same run.

Absolute times mean little on a shared machine, so every line is a ratio:
what was measured over what the machine could do at best, in rounds that take
turns, the median of several.
"""
