"""The checkpoint that comes with the program, and its attributes (docs/model-card.md)."""

from pathlib import Path

from model.errors import CheckpointError

SHIPPED = Path(__file__).parent / "weights" / "selvedge-r50.safetensors"
ATTRIBUTES = SHIPPED.with_name("selvedge-r50.attributes.safetensors")


def shipped_checkpoint() -> Path:
    """Return its path; CheckpointError when an incomplete installation lacks it."""
    if not SHIPPED.is_file():
        raise CheckpointError(
            f"the checkpoint that belongs to this program is not at {SHIPPED}; install it again, "
            "or choose weights with --checkpoint or --preset"
        )
    return SHIPPED


def shipped_attributes() -> Path:
    """Return the path of that checkpoint's attributes; CheckpointError when they are missing."""
    if not ATTRIBUTES.is_file():
        raise CheckpointError(
            f"the attributes that belong to this program are not at {ATTRIBUTES}; "
            "install it again, or name a file of your own"
        )
    return ATTRIBUTES
