"""A gallery on disk and the two-stage search in it."""
