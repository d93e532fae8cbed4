"""One package from an OpenSim gait model to a hip exoskeleton controller on the device."""

from importlib.metadata import PackageNotFoundError as _NotFound
from importlib.metadata import version as _version
from pathlib import Path as _Path

# In a checkout, analysis/, deploy/, models/, studies/ and benchmarks/ sit beside this folder.
_CHECKOUT = _Path(__file__).resolve().parents[1]
if (_CHECKOUT / "setup.cfg").is_file():
    __path__.append(str(_CHECKOUT))

try:
    __version__ = _version("osim_exo")
except _NotFound:  # run from a checkout that was never installed
    __version__ = "0.1.0"
