"""The checkpoint that comes with the program (docs/model-card.md)."""

from pathlib import Path

from model.errors import CheckpointError

SHIPPED = Path(__file__).parent / "weights" / "selvedge-r50.safetensors"


def shipped_checkpoint() -> Path:
    """Return its path; CheckpointError when an incomplete installation lacks it."""
    if not SHIPPED.is_file():
        raise CheckpointError(
            f"the checkpoint that belongs to this program is not at {SHIPPED}; install it again, "
            "or choose weights with --checkpoint or --preset"
        )
    return SHIPPED
