"""Learned controllers: tasks in batches, proximal policy optimisation, resumable runs."""
