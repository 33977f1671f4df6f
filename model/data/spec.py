"""How a data set is named: KIND:PATH?option=value&option=value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import DataError, ParameterError

FORMS = {
    "inshop": "inshop:DIR",
    "c2s": "c2s:DIR",
    "csv": "csv:FILE_OR_DIR",
    "folder": "folder:DIR",
    "photos": "photos:DIR",
    "stitch": "stitch or stitch:DIR?designs=400&seed=0",
}


@dataclass
class Options:
    """Options by name; whoever has taken his own calls `finish`, which refuses the rest."""

    values: dict[str, str]
    kind: str

    def __post_init__(self) -> None:
        """Remember what was asked for, for the message about unknown options."""
        self._known: list[str] = []

    def take(self, name: str, default: str, allowed: tuple[str, ...] = ()) -> str:
        """Take a word; refuse one that is not among `allowed`, where there is a list."""
        self._known.append(name)
        value = self.values.pop(name, default)
        if allowed and value not in allowed:
            raise ParameterError(
                f"{self.kind} has no {name}={value}; expected one of: {', '.join(allowed)}"
            )
        return value

    def take_number(self, name: str, default: int, least: int = 0) -> int:
        """Take a whole number that is at least `least`."""
        text = self.take(name, str(default))
        if not text.isdecimal() or int(text) < least:
            raise ParameterError(
                f"{self.kind} has {name}={text}; expected a whole number, {least} or more"
            )
        return int(text)

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self.values:
            raise ParameterError(
                f"{self.kind} knows no option {next(iter(self.values))!r}; "
                f"expected some of: {', '.join(self._known) or 'none'}"
            )


def parse_spec(
    spec: str, more: Mapping[str, object], forms: Mapping[str, str] = FORMS
) -> tuple[str, Path | None, Options]:
    """Split a data set's name into its kind, one of `forms`, its path and its options.

    >>> kind, path, options = parse_spec("csv:shop/photos.csv?product_column=sku", {})
    >>> kind, path.as_posix(), options.values
    ('csv', 'shop/photos.csv', {'product_column': 'sku'})
    """
    kind, _, rest = spec.partition(":")
    place, _, query = rest.partition("?")
    if kind not in forms:
        raise ParameterError(
            f"{spec!r} does not name a data set; expected one of: {', '.join(forms.values())}"
        )
    values = {name: str(value) for name, value in more.items()}
    for pair in filter(None, query.split("&")):
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise ParameterError(f"{pair!r} in {spec!r} is no option; write it as name=value")
        values[name] = value
    if not place and kind != "stitch":
        raise ParameterError(f"{spec!r} names no place; write {forms[kind]}")
    return kind, Path(place) if place else None, Options(values, kind)


def name_without_folders(name: str) -> str:
    """Leave out where data lies: a checkpoint goes to people whom that does not concern.

    >>> name_without_folders("photos:data/ann/closet + stitch:out/stitch, validation")
    'photos:closet + stitch:stitch, validation'
    """
    return re.sub(r"(\w+):[^ ?,]*/", r"\1:", name)


def require_folder(path: Path, hint: str) -> Path:
    """Return the path if it is a folder."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; expected {hint}")
    return path
