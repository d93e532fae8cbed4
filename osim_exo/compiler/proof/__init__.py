"""The comparison with OpenSim itself."""
