"""Names of the planar model, for tests of strides that need no model."""

from osim_exo.physics.base import PhysicsNames

COORDINATES = (
    "pelvis_tilt",
    "pelvis_tx",
    "pelvis_ty",
    "lumbar_extension",
    *(f"{joint}_{side}" for joint in ("hip_flexion", "knee_angle", "ankle_angle") for side in "rl"),
)
NAMES = PhysicsNames(coordinates=COORDINATES, muscles=("soleus_r", "soleus_l"))
