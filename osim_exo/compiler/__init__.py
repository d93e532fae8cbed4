"""The model compiler: OpenSim's equations of motion as straight-line vector code."""
