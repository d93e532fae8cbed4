"""The runtime's state machine: how torque comes on, goes off, and stays off after a fault."""

from __future__ import annotations

from enum import IntEnum

from pydantic import Field

from osim_exo.config import Config


class State(IntEnum):
    """Where the runtime is. Torque is possible in RAMP_IN, ACTIVE and RAMP_OUT only."""

    BOOT = 0
    SELF_TEST = 1
    IDLE = 2
    ARMED = 3
    RAMP_IN = 4
    ACTIVE = 5
    RAMP_OUT = 6
    FAULT = 7
    ESTOP = 8


class Request(IntEnum):
    """What the operator asks for."""

    NONE = 0
    ARM = 1
    STOP = 2
    RESET = 3
    ESTOP = 4


TRANSITIONS: dict[State, frozenset[State]] = {
    State.BOOT: frozenset({State.SELF_TEST, State.FAULT, State.ESTOP}),
    State.SELF_TEST: frozenset({State.IDLE, State.FAULT, State.ESTOP}),
    State.IDLE: frozenset({State.ARMED, State.FAULT, State.ESTOP}),
    State.ARMED: frozenset({State.RAMP_IN, State.IDLE, State.FAULT, State.ESTOP}),
    State.RAMP_IN: frozenset({State.ACTIVE, State.RAMP_OUT, State.FAULT, State.ESTOP}),
    State.ACTIVE: frozenset({State.RAMP_OUT, State.FAULT, State.ESTOP}),
    State.RAMP_OUT: frozenset({State.IDLE, State.FAULT, State.ESTOP}),
    State.FAULT: frozenset({State.BOOT, State.ESTOP}),
    State.ESTOP: frozenset(),
}
"""All transitions there are. An ESTOP ends with the process."""

POWERED = frozenset({State.RAMP_IN, State.ACTIVE, State.RAMP_OUT})
ENABLED = POWERED | {State.ARMED}
"""The device's drives are on; in ARMED they are told zero torque."""


class Ramps(Config):
    """How long the phases of switching on and off take."""

    armed_s: float = Field(
        default=3.0, ge=0.0, le=60.0, description="at zero torque before it comes on, s"
    )
    ramp_in_s: float = Field(default=5.0, ge=0.5, le=60.0, description="from nothing to all, s")
    ramp_out_s: float = Field(default=1.0, ge=0.1, le=10.0, description="from all to nothing, s")


class StateMachine:
    """One state at a time; time and events in, the share of the torque out.

    Parameters
    ----------
    ramps : Ramps
    """

    def __init__(self, ramps: Ramps | None = None) -> None:
        self.ramps = ramps or Ramps()
        self.state = State.BOOT
        self.gain = 0.0
        self._since = 0.0
        self._gain_then = 0.0

    def update(
        self,
        now: float,
        *,
        connected: bool,
        tested: bool,
        faulty: bool,
        estop: bool,
        request: Request,
    ) -> State:
        """Advance to `now` (s) and return the state.

        Parameters
        ----------
        connected : the device has answered
        tested : the self-test has passed
        faulty : a fault is present now
        estop : the emergency stop is pressed
        request : what the operator asks for
        """
        if self.state is State.ESTOP:
            return self.state
        if estop or request is Request.ESTOP:
            return self._enter(State.ESTOP, now)
        if self.state is State.FAULT:
            if request is Request.RESET and not faulty:
                self._enter(State.BOOT, now)
            return self.state
        if faulty:
            return self._enter(State.FAULT, now)
        following = self._following(now, connected, tested, request)
        if following is not None:
            self._enter(following, now)
        self.gain = self._ramped(now)
        return self.state

    def _following(
        self, now: float, connected: bool, tested: bool, request: Request
    ) -> State | None:
        """The state that comes next without a fault, or None to stay."""
        elapsed = now - self._since
        match self.state:
            case State.BOOT if connected:
                return State.SELF_TEST
            case State.SELF_TEST if tested:
                return State.IDLE
            case State.IDLE if request is Request.ARM:
                return State.ARMED
            case State.ARMED if request is Request.STOP:
                return State.IDLE
            case State.ARMED if elapsed >= self.ramps.armed_s:
                return State.RAMP_IN
            case State.RAMP_IN | State.ACTIVE if request is Request.STOP:
                return State.RAMP_OUT
            case State.RAMP_IN if elapsed >= self.ramps.ramp_in_s:
                return State.ACTIVE
            case State.RAMP_OUT if elapsed >= self.ramps.ramp_out_s * self._gain_then:
                return State.IDLE
        return None

    def _ramped(self, now: float) -> float:
        elapsed = now - self._since
        match self.state:
            case State.RAMP_IN:
                return min(elapsed / self.ramps.ramp_in_s, 1.0)
            case State.ACTIVE:
                return 1.0
            case State.RAMP_OUT:
                return max(self._gain_then - elapsed / self.ramps.ramp_out_s, 0.0)
        return 0.0

    def _enter(self, state: State, now: float) -> State:
        self._gain_then = self.gain
        self.state, self._since = state, now
        if state not in POWERED:
            self.gain = 0.0
        return state
