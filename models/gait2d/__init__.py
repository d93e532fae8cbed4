"""The planar gait model: parameter tables, the build that reads them, and the .osim file."""
