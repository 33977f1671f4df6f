"""Measurements, each against a floor or a peer of the same run."""
