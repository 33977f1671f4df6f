"""Data sets with attributes: official benchmarks, a shop's own CSV, and drawn garments."""

from model.attributes.data.official import load_official
from model.attributes.data.stitched import load_stitch_attributes
from model.attributes.data.tables import load_csv_attributes
from model.attributes.records import AttributeData
from model.data.spec import parse_spec

__all__ = ["FORMS", "load_attribute_data"]

FORMS = {
    "fashionai": "fashionai:DIR",
    "darn": "darn:DIR",
    "deepfashion-attributes": "deepfashion-attributes:DIR",
    "attributes-csv": "attributes-csv:FILE?attributes=collar;print",
    "stitch": "stitch or stitch:DIR?designs=400&seed=0",
}


def load_attribute_data(spec: str, *, seed: int = 0, **options: str | int) -> AttributeData:
    """Read the data set with attributes that `spec` names; `seed` chooses what is held out.

    - `fashionai:DIR`, `darn:DIR`, `deepfashion-attributes:DIR` in the layout of ASEN++
    - `attributes-csv:FILE?attributes=collar;print`, any CSV with such columns; with
      `use=evaluation` it is never trained on
    - `stitch` or `stitch:DIR?designs=400&seed=0`, drawn at first use

    Options follow the path, or are keywords; each reader lists its own.

    Raises:
        ParameterError: an unknown kind of data set, an unknown option or value.
        DataError: the data itself; the sentence says what was found and expected.
    """
    kind, path, chosen = parse_spec(spec, options, FORMS)
    if kind == "stitch":
        return load_stitch_attributes(path, chosen, seed)
    assert path is not None, spec
    if kind == "attributes-csv":
        return load_csv_attributes(path, chosen, seed)
    return load_official(path, chosen, seed)
