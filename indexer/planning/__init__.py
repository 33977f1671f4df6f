"""What a gallery of any size will cost: measured small, predicted large."""
