"""The observation table is made from names alone and loads nothing heavy."""

import subprocess
import sys

import numpy as np

from osim_exo.observations import ObservationLayout
from osim_exo.physics.base import PhysicsNames


def test_the_table_follows_the_names_of_any_model():
    names = PhysicsNames(("pelvis_tx", "hip_flexion_r"), ("soleus_r",), (), (), ("lumbar",))
    layout = ObservationLayout(names)
    spelled = [row.name for row in layout.rows]
    assert spelled == [
        "hip_flexion_r",
        "pelvis_tx/speed",
        "hip_flexion_r/speed",
        "soleus_r/activation",
        "grf_r_x",
        "grf_r_y",
        "grf_l_x",
        "grf_l_y",
        "commanded_speed",
        "slope",
    ]
    units = dict(zip(spelled, (row.unit for row in layout.rows)))
    assert units["pelvis_tx/speed"] == "m/s" and units["hip_flexion_r/speed"] == "rad/s"
    assert np.all(layout.low < layout.high) and np.isfinite(layout.high).all()
    assert layout.markdown().count("\n| ") == len(spelled) + 1


def test_the_table_loads_neither_opensim_nor_gymnasium():
    code = (
        "import sys, osim_exo.observations, osim_exo.walking; "
        "print(sorted({'opensim', 'torch', 'gymnasium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
