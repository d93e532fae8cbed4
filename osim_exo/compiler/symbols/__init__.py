"""Expressions in which equal operations are one, and the straight-line programs they become."""
