"""Exo controllers with one interface: numpy only, the same in simulation and on the device."""

from osim_exo.control.base import Controller, Signals, ZeroTorque
from osim_exo.control.feedback import DelayedOutputFeedback, FeedbackSettings
from osim_exo.control.learned import LearnedController
from osim_exo.control.phase import HeelStrikePhase, PeakFlexionPhase, PhaseSettings
from osim_exo.control.profiles import Lobe, Playback, Profile, Spline, SplineProfile, TorqueTable

__all__ = [
    "Controller",
    "DelayedOutputFeedback",
    "FeedbackSettings",
    "HeelStrikePhase",
    "LearnedController",
    "Lobe",
    "PeakFlexionPhase",
    "PhaseSettings",
    "Playback",
    "Profile",
    "Signals",
    "Spline",
    "SplineProfile",
    "TorqueTable",
    "ZeroTorque",
]
