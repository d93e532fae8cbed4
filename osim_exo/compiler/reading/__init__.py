"""From an OpenSim model to its spec; only this and the proof need OpenSim."""
