"""The state machine: torque only where it may be, faults and emergency stops stay."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.deploy.states import (
    POWERED,
    TRANSITIONS,
    Ramps,
    Request,
    State,
    StateMachine,
)

RAMPS = Ramps(armed_s=1.0, ramp_in_s=2.0, ramp_out_s=1.0)
GOOD = {"connected": True, "tested": True, "faulty": False, "estop": False}

events = st.fixed_dictionaries(
    {
        "connected": st.booleans() | st.just(True),
        "tested": st.booleans() | st.just(True),
        "faulty": st.sampled_from([False] * 9 + [True]),
        "estop": st.sampled_from([False] * 30 + [True]),
        "request": st.sampled_from(Request),
    }
)


def run_to(state: State) -> tuple[StateMachine, float]:
    machine, now = StateMachine(RAMPS), 0.0
    while machine.state is not state:
        now += 0.1
        request = Request.ARM if machine.state is State.IDLE else Request.NONE
        if state is State.RAMP_OUT and machine.state is State.ACTIVE:
            request = Request.STOP
        machine.update(now, **GOOD, request=request)
        assert now < 30.0
    return machine, now


def test_the_way_to_torque_leads_through_every_state():
    machine, now, seen = StateMachine(RAMPS), 0.0, [State.BOOT]
    for _ in range(60):
        now += 0.1
        machine.update(now, **GOOD, request=Request.ARM)
        if machine.state is not seen[-1]:
            seen.append(machine.state)
    assert seen == [
        State.BOOT,
        State.SELF_TEST,
        State.IDLE,
        State.ARMED,
        State.RAMP_IN,
        State.ACTIVE,
    ]


@given(st.lists(st.tuples(events, st.floats(0.0, 2.0)), max_size=80))
@settings(max_examples=300, deadline=None)
def test_only_listed_transitions_happen_and_torque_only_in_powered_states(steps):
    machine, now, before = StateMachine(RAMPS), 0.0, State.BOOT
    for event, wait in steps:
        now += wait
        state = machine.update(now, **event)
        assert state is before or state in TRANSITIONS[before]
        assert 0.0 <= machine.gain <= 1.0
        assert machine.gain == 0.0 or state in POWERED
        if event["faulty"] or event["estop"]:
            assert machine.gain == 0.0
        if before is State.ESTOP:
            assert state is State.ESTOP
        if before is State.FAULT and state is not State.FAULT:
            assert event["request"] in (Request.RESET, Request.ESTOP) or event["estop"]
        before = state


@given(st.lists(st.tuples(events, st.floats(0.0, 0.02)), max_size=100))
@settings(max_examples=200, deadline=None)
def test_the_share_of_the_torque_never_rises_faster_than_the_ramp(steps):
    machine, now = run_to(State.ACTIVE)
    gain = machine.gain
    for event, wait in steps:
        now += wait
        machine.update(now, **event)
        assert machine.gain - gain <= wait / RAMPS.ramp_in_s + 1e-9
        gain = machine.gain


@pytest.mark.parametrize("state", [s for s in State if s not in (State.FAULT, State.ESTOP)])
def test_a_fault_in_any_state_takes_torque_away_at_once_and_stays(state):
    machine, now = run_to(state)
    machine.update(now, **{**GOOD, "faulty": True}, request=Request.NONE)
    assert (machine.state, machine.gain) == (State.FAULT, 0.0)
    machine.update(now + 100.0, **GOOD, request=Request.ARM)
    assert machine.state is State.FAULT
    machine.update(now + 101.0, **{**GOOD, "faulty": True}, request=Request.RESET)
    assert machine.state is State.FAULT
    machine.update(now + 102.0, **GOOD, request=Request.RESET)
    assert machine.state is State.BOOT


@pytest.mark.parametrize("request_", Request)
def test_an_emergency_stop_never_ends(request_):
    machine, now = run_to(State.ACTIVE)
    machine.update(now, **GOOD, request=Request.ESTOP)
    for _ in range(5):
        now += 10.0
        machine.update(now, **GOOD, request=request_)
        assert (machine.state, machine.gain) == (State.ESTOP, 0.0)


def test_a_stop_halfway_up_goes_down_from_there():
    machine, now = run_to(State.RAMP_IN)
    machine.update(now + 1.0, **GOOD, request=Request.NONE)
    assert machine.gain == pytest.approx(0.5)
    machine.update(now + 1.0, **GOOD, request=Request.STOP)
    assert machine.state is State.RAMP_OUT
    assert machine.gain == pytest.approx(0.5)
    machine.update(now + 1.25, **GOOD, request=Request.NONE)
    assert machine.gain == pytest.approx(0.25)
    machine.update(now + 1.5, **GOOD, request=Request.NONE)
    assert (machine.state, machine.gain) == (State.IDLE, 0.0)
