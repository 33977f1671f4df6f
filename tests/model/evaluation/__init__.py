"""Tests of model.evaluation."""
