"""Attribute-specific retrieval: "the same collar, another colour". Import from its modules."""
