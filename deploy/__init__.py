"""From controller to device: protocol, safety, runtime, black box, virtual exo and firmware.

Imports only the ground floor, `osim_exo.control` and `osim_exo.policy`, so that a small board with
``pip install "osim_exo[deploy]"`` runs it. Research software; see docs/safety.md.

==================  ============================================================================
module              what it holds
==================  ============================================================================
packets, sequence   bytes to packets and back; see docs/protocol.md
safety              the limiter between any controller and the device
faults, states      what is not believed; how torque comes on and goes off
settings, core      one period of the loop as a pure step, and all that decides it
streams, link       the line to a device, sessions, the newest sample
timing, runtime     deadlines and the loop; any `osim_exo.control.Controller` runs in it
log, replay, score  the black box, the same run again, agreement with a simulated walk
device_core         the device's side, twin of the C99 firmware in ``firmware/``
virtual_exo, ...    a whole device, its walkers, disturbances and ports
shipped             policies that are here without training, by name
policy_controller   a policy bundle, known by its hash; `novelty`: input unlike that of training
export, c_source    a bundle as C99, ONNX or, by stride_profile and openexo, as torque profiles
host_c, emulator    the exported policy and the firmware compiled here, or on an emulated Cortex-M
can_codec, ...      drives on a CAN bus behind the same seam as a serial port
score_page          the agreement with the simulation as a page
==================  ============================================================================

A controller that the settings do not name is handed to `runtime.Runtime` as `controller`; a replay
of its log then needs it too.
"""
