"""A second of real OpenSim and Moco, run in a process of its own so that a crash can be told.

`main` adds one JSON line to a file when a stage begins and one when it ends; a stage that began
and never ended is where the process died.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def import_opensim() -> str:
    """Import OpenSim; gives its version."""
    import opensim

    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("error")
    return str(opensim.GetVersion())


def solve_moco() -> str:
    """Move 1 kg over 1 m in 1 s, from rest to rest: the least effort, integral of F^2, is 12 N^2 s.

    The optimal force is F = 6 - 12 t (calculus of variations), so the integral is 12 exactly, and
    the transcription holds it exactly too.
    """
    import opensim

    if not opensim.MocoCasADiSolver.isAvailable():
        raise RuntimeError("this build of OpenSim has no CasADi solver")
    study = opensim.MocoStudy()
    problem = study.updProblem()
    problem.setModel(_sliding_mass(opensim))
    problem.setTimeBounds(0.0, 1.0)
    problem.setStateInfo("/slider/position/value", [-1.0, 2.0], 0.0, 1.0)
    problem.setStateInfo("/slider/position/speed", [-10.0, 10.0], 0.0, 0.0)
    problem.setControlInfo("/force", [-50.0, 50.0])
    problem.addGoal(opensim.MocoControlGoal("effort"))
    solver = study.initCasADiSolver()
    solver.set_num_mesh_intervals(10)
    solver.set_verbosity(0)
    solver.set_parallel(0)
    solution = study.solve()
    if not solution.success():
        raise RuntimeError(f"the solver stopped with '{solution.getStatus()}'")
    effort = float(solution.getObjective())
    if abs(effort - 12.0) > 0.01:
        raise RuntimeError(f"the effort is {effort:g}; it must be 12")
    return f"effort {effort:.4f}, must be 12"


def _sliding_mass(opensim: Any) -> Any:
    model = opensim.Model()
    body = opensim.Body("mass", 1.0, opensim.Vec3(0), opensim.Inertia(0))
    model.addComponent(body)
    slider = opensim.SliderJoint("slider", model.getGround(), body)
    coordinate = slider.updCoordinate()
    coordinate.setName("position")
    model.addComponent(slider)
    actuator = opensim.CoordinateActuator()
    actuator.setName("force")
    actuator.setCoordinate(coordinate)
    model.addComponent(actuator)
    model.finalizeConnections()
    return model


def build_model() -> str:
    """Build the planar walker; gives its size."""
    from osim_exo import models

    model = models.load("gait2d")
    state = model.initSystem()
    return f"{state.getNQ()} coordinates, {model.getTotalMass(state):.1f} kg"


def simulate_a_step() -> str:
    """Simulate 10 ms from the default pose; every state must stay a finite number."""
    import opensim

    from osim_exo import models

    model = models.load("gait2d")
    state = model.initSystem()
    manager = opensim.Manager(model)
    manager.setWriteToStorage(False)
    manager.initialize(state)
    state = manager.integrate(0.01)
    values = state.getY()
    if not all(math.isfinite(values.get(i)) for i in range(values.size())):
        raise RuntimeError("a state is not a finite number after 10 ms")
    return f"{values.size()} states, all finite"


def push_against_the_ground() -> str:
    """Feet pressed 20 mm lower are pushed up; feet 100 mm higher are not pushed at all."""
    from osim_exo import models
    from osim_exo.models.ground import contact_forces

    model = models.load("gait2d")
    state = model.initSystem()
    height = model.getCoordinateSet().get("pelvis_ty")
    standing = height.getDefaultValue()

    def upward_force(offset: float) -> float:
        height.setValue(state, standing + offset)
        model.realizeDynamics(state)
        return sum(float(f.getRecordValues(state).get(1)) for f in contact_forces(model))

    down, up = upward_force(-0.02), upward_force(0.1)
    if not (down > 1.0 and abs(up) < 1e-6):
        raise RuntimeError(f"the ground pushes {down:g} N on the feet in it, {up:g} N above it")
    return f"{down:.0f} N upward with the feet in the ground, {abs(up):.0f} N above it"


@dataclass(frozen=True)
class Stage:
    """One stage: what it is to do, in words and in code."""

    task: str
    run: Callable[[], str]


STAGES = {
    "opensim": Stage("import OpenSim", import_opensim),
    "moco": Stage("solve a Moco problem whose answer is known", solve_moco),
    "model": Stage("build the walking model", build_model),
    "step": Stage("simulate 10 ms of it", simulate_a_step),
    "ground": Stage("push against the ground", push_against_the_ground),
}


def main(record: Path) -> int:
    """Run all stages in order, up to the first that fails; 0 if all passed."""
    for name, stage in STAGES.items():
        _note(record, stage=name, state="begun")
        try:
            found = stage.run()
        except Exception as error:
            # Any failure here is a finding for the doctor, who puts it in words.
            reason = str(error).strip().partition("\n")[0]
            _note(record, stage=name, state="failed", found=f"{type(error).__name__}: {reason}")
            return 1
        _note(record, stage=name, state="passed", found=found)
    return 0


def _note(record: Path, **content: str) -> None:
    with record.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(content) + "\n")
