"""Files in and out: STO/MOT tables, TRC markers, C3D recordings and trial folders."""

from osim_exo.io.c3d_file import Recording, read_c3d
from osim_exo.io.folder import read_trial, write_trial
from osim_exo.io.force_plates import ForcePlate
from osim_exo.io.markers import Markers, read_trc
from osim_exo.io.measured import read_measured
from osim_exo.io.measured_c3d import read_measured_c3d
from osim_exo.io.tables import Table, read_table, write_table

__all__ = [
    "ForcePlate",
    "Markers",
    "Recording",
    "Table",
    "read_c3d",
    "read_measured",
    "read_measured_c3d",
    "read_table",
    "read_trc",
    "read_trial",
    "write_table",
    "write_trial",
]
