"""From controller to device: protocol, safety, runtime, black box, virtual exo and firmware.

Imports only the ground floor and the controllers of `osim_exo.control`, so that a small board with
``pip install "osim_exo[deploy]"`` runs it. Research software; see docs/safety.md.
"""
