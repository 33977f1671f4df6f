"""The backbone of a checkpoint, made fast for the machine at hand (docs/performance.md).

Only the backbone changes its arithmetic: aggregation, alignment and similarities stay
float32, and so do the maps handed to them. The checkpoint's fingerprint says nothing of it.
"""
