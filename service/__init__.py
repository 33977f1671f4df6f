"""HTTP only: translate, call the engine once, translate back."""
