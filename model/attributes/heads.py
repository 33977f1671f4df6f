"""The attributes of a checkpoint, for whoever searches: numpy in, numpy out.

    heads = load_heads(path)
    check_checkpoint(heads, encoder.fingerprint, str(path))
    score = heads.embed("collar", *query) @ heads.embed("collar", *items).T     # in [-1, 1]
    pockets = learn_attribute("pocket_shape", *photos, values, heads)

Other packages import from here only.
"""

from model.attributes.examples import MIN_EXAMPLES, learn_attribute
from model.attributes.heads_file import load_heads, save_heads
from model.attributes.slot_heads import AttributeHeads, AttributeInfo, check_checkpoint

__all__ = [
    "MIN_EXAMPLES",
    "AttributeHeads",
    "AttributeInfo",
    "check_checkpoint",
    "learn_attribute",
    "load_heads",
    "save_heads",
]
