"""ASEN++ as published: attribute-specific embeddings of pixels. Import from its modules."""
