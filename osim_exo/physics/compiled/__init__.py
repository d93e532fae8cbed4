"""The physics of learning: compiled models behind the `Physics` protocol."""

from osim_exo.physics.compiled.physics import CompiledPhysics as CompiledPhysics
