"""Tensors in, tensors out: the MGA network and what turns a photo into its input."""
