"""What happens in one period of the loop: a pure step from what came in to what goes out.

No clock, no line, no file: the runtime brings what it read, the black box keeps it, and a replay
brings it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from osim_exo.control import Controller, Signals
from osim_exo.deploy.faults import FaultCode, LinkCounts, Monitor, Reading
from osim_exo.deploy.novelty import Familiarity
from osim_exo.deploy.packets import DeviceState, Enable, Flag, Packet, Sensors
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.deploy.safety import Limiter, Pair
from osim_exo.deploy.settings import RunSettings
from osim_exo.deploy.states import ENABLED, POWERED, Request, State, StateMachine

NOTHING: Pair = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class TickInput:
    """All that one period depends on.

    Attributes
    ----------
    now : host's clock, s
    sample : the newest sample if a new one came, as the packet it came in
    counts : what went wrong on the line since the last period
    overruns : deadlines missed since the last period
    connected : the device has answered in this session
    suitable : what it says of itself suits this run
    link_lost : the line is down
    log_lost : the black box cannot write
    request : of the operator
    """

    now: float
    sample: Packet | None = None
    counts: LinkCounts = field(default_factory=LinkCounts)
    overruns: int = 0
    connected: bool = True
    suitable: bool = True
    link_lost: bool = False
    log_lost: bool = False
    request: Request = Request.NONE


@dataclass(frozen=True, slots=True)
class TickOutput:
    """What one period gives; torques are right then left, Nm, flexion positive.

    Attributes
    ----------
    state : State
    faults : present now; in FAULT and ESTOP also those that led there
    gain : share of the wanted torque that is applied
    wanted : what the controller asks for
    limited : what ramp and limiter leave of it; in shadow mode what would be applied
    sent_mnm : what goes to the device, 0.001 Nm; never more than `limited`. With `Enable.BY_ITSELF`
        the most that the device's own policy may give
    enable : what the device's drives are to do
    """

    state: State
    faults: FaultCode
    gain: float
    wanted: Pair
    limited: Pair
    sent_mnm: tuple[int, int]
    enable: Enable


class ControlCore:
    """Monitor, state machine, controller and limiter in their order.

    Parameters
    ----------
    settings : RunSettings
    controller : Controller, optional
        Another one than the settings name, for instance one from a policy bundle.
    """

    def __init__(self, settings: RunSettings, controller: Controller | None = None) -> None:
        self.settings = settings
        self.controller = controller or settings.controller.build(settings.mass)
        self._policy = self.controller if isinstance(self.controller, PolicyController) else None
        if self._policy is not None:
            self._policy.check_rate(settings.rate_hz)
        self.controller.reset(1)
        self._familiarity = Familiarity(settings.novelty)
        self.machine = StateMachine(settings.ramps)
        self.limiter = Limiter(settings.limits, settings.mass, settings.period)
        self.problem = ""
        self._monitor = Monitor(settings.thresholds)
        self._reading: Reading | None = None
        self._wanted, self._sent = NOTHING, NOTHING
        self._latched = FaultCode(0)
        self._plausible = 0
        self._began: float | None = None
        self._clear_since: float | None = None

    def step(self, tick: TickInput) -> TickOutput:
        """One period."""
        faults, estop = self._watch(tick)
        state = self.machine.update(
            tick.now,
            connected=tick.connected,
            tested=self._plausible >= self.settings.self_test.n_sample,
            faulty=bool(faults),
            estop=estop,
            request=self._request(tick, faults),
        )
        self._remember(state, faults)
        if state in (State.BOOT, State.FAULT, State.ESTOP):
            self._wanted = NOTHING
        elif tick.sample is not None and self._reading is not None:
            self._wanted = self._control(self._reading)
            if self._policy is not None:
                self._familiarity.update(tick.now, self._policy.novelty)
        return self._output(state, faults)

    # What is wrong

    def _watch(self, tick: TickInput) -> tuple[FaultCode, bool]:
        """Faults of this period, and whether the emergency stop is pressed."""
        faults, estop = FaultCode(0), False
        if tick.sample is not None and isinstance(tick.sample.body, Sensors):
            sensors = tick.sample.body
            reading = Reading.of(tick.sample.time_us, sensors)
            estop = bool(sensors.flags & Flag.ESTOP_BUTTON) or sensors.state == DeviceState.ESTOP
            if self.machine.state is not State.BOOT:
                faults |= self._monitor.sample(tick.now, reading, sensors)
                if self.machine.state in POWERED:
                    faults |= self._monitor.torque(tick.now, self._sent, reading.torque)
                if self.settings.arm and sensors.state == DeviceState.FAULT:
                    faults |= FaultCode.DEVICE
            self._reading = reading
        if self.machine.state is not State.BOOT:
            faults |= self._monitor.period(tick.now, tick.counts, tick.overruns)
            if tick.link_lost or not tick.connected:
                faults |= FaultCode.LINK
                # The next session may have another clock.
                self._monitor.reset()
        if self.problem:
            faults |= FaultCode.CONTROLLER
        if self._familiarity.is_strange(tick.now):
            faults |= FaultCode.UNFAMILIAR
        if tick.log_lost and self.settings.arm:
            faults |= FaultCode.LOG
        if tick.connected and not tick.suitable:
            faults |= FaultCode.SELF_TEST
        if self.machine.state is State.SELF_TEST:
            faults |= self._self_test(tick, faults)
        return faults, estop

    def _self_test(self, tick: TickInput, faults: FaultCode) -> FaultCode:
        """Count plausible samples at rest; a fault if too few come in time."""
        test = self.settings.self_test
        if self._began is None:
            self._began = tick.now
        if tick.sample is not None and self._reading is not None:
            at_rest = max(map(abs, self._reading.torque)) <= test.torque
            self._plausible = self._plausible + 1 if at_rest and not faults else 0
        late = tick.now - self._began > test.timeout_s and self._plausible < test.n_sample
        return FaultCode.SELF_TEST if late else FaultCode(0)

    def _request(self, tick: TickInput, faults: FaultCode) -> Request:
        """The operator's request; without arm, nothing arms and faults that went heal."""
        if self.settings.arm:
            return tick.request
        if tick.request is Request.ARM:
            return Request.NONE
        if faults or self.machine.state is not State.FAULT:
            self._clear_since = None
        elif self._clear_since is None:
            self._clear_since = tick.now
        elif tick.now - self._clear_since >= self.settings.heal_s:
            return Request.RESET
        return tick.request

    def _remember(self, state: State, faults: FaultCode) -> None:
        if state in (State.FAULT, State.ESTOP):
            self._latched |= faults
            self._familiarity = Familiarity(self.settings.novelty)
            return
        self._latched = FaultCode(0)
        if state is State.BOOT:
            self._monitor.reset()
            self._plausible, self._began, self.problem = 0, None, ""
            self.controller.reset(1)

    # What is applied

    def _control(self, reading: Reading) -> Pair:
        """The controller's torque; zero, and a fault in the next step, if it fails."""
        signals = Signals(
            time=np.array([reading.time]),
            hip_angle=np.array([reading.angle]),
            hip_speed=np.array([reading.speed]),
            thigh_angle=np.array([reading.thigh]),
            thigh_rate=np.array([reading.gyro]),
            torque=np.array([reading.torque]),
        )
        try:
            torque = self.controller(signals)
            wanted = float(torque[0, 0]), float(torque[0, 1])
        except Exception as error:
            # Whatever a controller does wrong, the person gets zero torque and a latched fault.
            self.problem = f"the controller failed: {type(error).__name__}: {error}"
            return NOTHING
        if not (math.isfinite(wanted[0]) and math.isfinite(wanted[1])):
            self.problem = f"the controller asked for {wanted[0]} and {wanted[1]} Nm"
            return NOTHING
        return wanted

    def _output(self, state: State, faults: FaultCode) -> TickOutput:
        shadow = not self.settings.arm and state is State.IDLE
        gain = self._familiarity.share * (1.0 if shadow else self.machine.gain)
        limited = NOTHING
        if self.problem or self._reading is None or not (shadow or state in POWERED):
            self.limiter.reset()
        else:
            command = self._wanted[0] * gain, self._wanted[1] * gain
            limited = self.limiter.apply(command, self._reading.angle, self._reading.speed).torque
        sent, enable = (0, 0), Enable.OFF
        if self.settings.arm and state in ENABLED:
            enable = Enable.BY_ITSELF if self.settings.onboard else Enable.COMMANDED
        if self.settings.arm and state in POWERED:
            # Towards zero, so that rounding never exceeds a bound.
            sent = int(limited[0] * 1e3), int(limited[1] * 1e3)
        self._sent = sent[0] * 1e-3, sent[1] * 1e-3
        if enable is Enable.BY_ITSELF:
            most = int(gain * self.limiter.cap * 1e3) if state in POWERED else 0
            sent = most, most
        return TickOutput(
            state=state,
            faults=faults | self._latched,
            gain=gain,
            wanted=self._wanted,
            limited=limited,
            sent_mnm=sent,
            enable=enable,
        )
