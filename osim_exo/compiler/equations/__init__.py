"""The equations of motion of a model, as expressions."""
