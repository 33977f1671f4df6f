"""The gallery on a Milvus server, for more items than one machine holds (docs/scale.md)."""
