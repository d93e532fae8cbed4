"""Shipped studies: one file, one question, its configuration at the top."""
