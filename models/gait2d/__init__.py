"""The planar gait model: parameter tables, the build that turns them into a model, and the .osim."""
