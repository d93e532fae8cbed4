"""The room for what runs on the device; empty in this version.

What it will hold may import only the ground floor and the controllers of `osim_exo.control`, so
that a small board with the base install alone can run it. Nothing here drives hardware yet.
"""
