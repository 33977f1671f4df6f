"""Data sets with attributes: official benchmarks, a shop's own CSV, and drawn garments."""

from model.attributes.data.stitched import load_stitch_attributes
from model.attributes.records import AttributeData
from model.data.spec import parse_spec

__all__ = ["FORMS", "load_attribute_data"]

FORMS = {
    "stitch": "stitch or stitch:DIR?designs=400&seed=0",
}


def load_attribute_data(spec: str, *, seed: int = 0, **options: str | int) -> AttributeData:
    """Read the data set with attributes that `spec` names; `seed` chooses what is held out.

    - `stitch` or `stitch:DIR?designs=400&seed=0`, drawn at first use

    Options follow the path, or are keywords; each reader lists its own.

    Raises:
        ParameterError: an unknown kind of data set, an unknown option or value.
        DataError: the data itself; the sentence says what was found and expected.
    """
    kind, path, chosen = parse_spec(spec, options, FORMS)
    if kind == "stitch":
        return load_stitch_attributes(path, chosen, seed)
    raise AssertionError(kind)
