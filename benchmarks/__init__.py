"""Benchmarks: what is measured is measured side by side in one run, and reported as ratios."""
