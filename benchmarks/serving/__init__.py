"""Parts of `python -m benchmarks serve`."""
