"""How good a checkpoint is, measured so that it cannot flatter."""
