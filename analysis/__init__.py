"""Trials in, numbers, figures and reports out; neither opensim nor torch is needed."""
