"""The soak: a real service that is changed, searched and killed, and a journal that remembers."""
