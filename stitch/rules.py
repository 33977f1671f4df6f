"""Which values each attribute may take, by category and by what is already chosen."""

from collections.abc import Mapping
from types import MappingProxyType

from stitch.palette import COLOURS

Values = tuple[str, ...]

PRINTS: Values = (
    "stripes", "vertical-stripes", "check", "gingham", "dots", "floral",
    "geometric", "chevron", "camo", "leopard", "colour-block",
)  # fmt: skip
LOGOS: Values = (
    "star",
    "heart",
    "bolt",
    "mountain",
    "ring",
    "leaf",
    "crown",
    "NORD",
    "ATLAS",
    "88",
)

NONE: Values = ("none",)
_TOPS = ("slim", "straight", "relaxed")
_SLEEVES = ("none", "cap", "short", "elbow", "long")
_KNIT_PRINTS = ("stripes", "geometric", "chevron", "dots", "colour-block")
_WOVEN_PRINTS = ("stripes", "vertical-stripes", "check", "gingham", "dots", "floral", "leopard")

# Attributes that a category does not name have the single value "none".
CATEGORIES: Mapping[str, Mapping[str, Values]] = MappingProxyType(
    {
        "t-shirt": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip"),
            "fabric": ("jersey", "rib-knit", "linen"),
            "neckline": ("crew", "v", "scoop", "square", "boat"),
            "sleeve_length": _SLEEVES,
            "sleeve_shape": ("set-in", "raglan", "dropped"),
            "cuff": ("plain", "ribbed", "rolled"),
            "closure": ("none", "henley"),
            "pockets": ("none", "chest"),
            "hem": ("straight", "curved", "ribbed", "knotted"),
            "print": ("none", *PRINTS),
            "trim": ("none", "contrast-edge"),
            "logo": ("none", *LOGOS),
        },
        "polo": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip"),
            "fabric": ("pique", "jersey"),
            "collar": ("polo", "mandarin"),
            "sleeve_length": ("short", "long"),
            "sleeve_shape": ("set-in", "raglan"),
            "cuff": ("plain", "ribbed"),
            "closure": ("henley", "half-zip"),
            "pockets": ("none", "chest"),
            "hem": ("straight", "curved", "ribbed"),
            "print": ("none", "stripes", "vertical-stripes", "dots", "geometric", "colour-block"),
            "trim": ("none", "contrast-edge"),
            "logo": ("none", *LOGOS),
        },
        "shirt": {
            "silhouette": _TOPS,
            "length": ("hip", "long"),
            "fabric": ("poplin", "denim", "linen", "corduroy"),
            "collar": ("point", "button-down", "camp", "mandarin"),
            "sleeve_length": ("short", "long"),
            "sleeve_shape": ("set-in", "dropped"),
            "cuff": ("plain", "buttoned", "rolled"),
            "closure": ("buttons", "hidden"),
            "pockets": ("none", "chest", "two-chest", "two-flap"),
            "hem": ("straight", "curved"),
            "print": ("none", *_WOVEN_PRINTS, "camo"),
            "trim": ("none", "contrast-stitch", "contrast-edge"),
        },
        "blouse": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip"),
            "fabric": ("satin", "poplin", "linen"),
            "neckline": ("none", "v", "square", "boat"),
            "collar": ("none", "peter-pan", "mandarin", "bow", "point"),
            "sleeve_length": ("cap", "short", "elbow", "long"),
            "sleeve_shape": ("set-in", "puff", "bell"),
            "cuff": ("plain", "elastic", "buttoned"),
            "closure": ("none", "buttons", "hidden"),
            "hem": ("straight", "curved", "ruffle"),
            "print": ("none", "stripes", "vertical-stripes", "dots", "floral", "leopard", "check"),
            "trim": ("none", "contrast-edge"),
        },
        "sweater": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip", "long"),
            "fabric": ("fine-knit", "rib-knit", "cable-knit"),
            "neckline": ("none", "crew", "v", "boat"),
            "collar": ("none", "roll-neck", "shawl", "funnel"),
            "sleeve_length": ("short", "long"),
            "sleeve_shape": ("set-in", "raglan", "dropped", "bell"),
            "cuff": ("plain", "ribbed", "rolled"),
            "closure": ("none", "buttons", "half-zip"),
            "pockets": ("none", "patch"),
            "hem": ("straight", "ribbed", "split"),
            "print": ("none", *_KNIT_PRINTS),
            "trim": ("none", "contrast-edge"),
        },
        "hoodie": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip"),
            "fabric": ("fleece", "jersey"),
            "collar": ("hood",),
            "sleeve_length": ("short", "long"),
            "sleeve_shape": ("set-in", "raglan", "dropped"),
            "cuff": ("plain", "ribbed"),
            "closure": ("none", "zip", "half-zip"),
            "pockets": ("none", "kangaroo", "side"),
            "hem": ("straight", "ribbed"),
            "print": ("none", "stripes", "camo", "colour-block", "geometric", "leopard"),
            "trim": ("none", "contrast-edge"),
            "logo": ("none", *LOGOS),
        },
        "jacket": {
            "silhouette": _TOPS,
            "length": ("cropped", "hip"),
            "fabric": ("denim", "leather", "quilted", "wool", "corduroy"),
            "collar": ("point", "mandarin", "notch-lapel", "shawl", "hood", "funnel"),
            "sleeve_length": ("long",),
            "sleeve_shape": ("set-in", "raglan", "dropped"),
            "cuff": ("plain", "ribbed", "buttoned"),
            "closure": ("buttons", "zip", "double-breasted"),
            "pockets": ("none", "side", "patch", "two-flap", "chest"),
            "hem": ("straight", "ribbed", "curved"),
            "print": ("none", "check", "camo", "colour-block"),
            "trim": ("none", "contrast-stitch", "contrast-edge"),
            "logo": ("none", *LOGOS),
        },
        "coat": {
            "silhouette": ("slim", "straight", "a-line"),
            "length": ("long", "knee", "midi"),
            "fabric": ("wool", "quilted", "leather"),
            "collar": ("point", "notch-lapel", "shawl", "hood", "funnel"),
            "sleeve_length": ("long",),
            "sleeve_shape": ("set-in", "raglan"),
            "cuff": ("plain", "buttoned", "rolled"),
            "closure": ("buttons", "zip", "double-breasted", "hidden"),
            "pockets": ("none", "side", "patch", "flap"),
            "hem": ("straight", "split"),
            "waist": ("none", "belt", "tie"),
            "print": ("none", "check", "chevron"),
            "trim": ("none", "contrast-edge"),
        },
        "dress": {
            "silhouette": ("slim", "a-line", "flared"),
            "length": ("mini", "knee", "midi", "maxi"),
            "fabric": ("jersey", "satin", "poplin", "linen", "denim", "rib-knit"),
            "neckline": ("none", "crew", "v", "scoop", "square", "boat"),
            "collar": ("none", "peter-pan", "point", "mandarin", "bow", "roll-neck"),
            "sleeve_length": _SLEEVES,
            "sleeve_shape": ("set-in", "puff", "bell"),
            "cuff": ("plain", "elastic", "ribbed"),
            "closure": ("none", "buttons", "henley"),
            "pockets": ("none", "patch", "side", "chest"),
            "hem": ("straight", "ruffle", "split"),
            "waist": ("none", "seam", "elastic", "belt", "tie"),
            "print": ("none", *PRINTS),
            "trim": ("none", "contrast-edge"),
        },
        "skirt": {
            "silhouette": ("slim", "a-line", "flared", "pleated"),
            "length": ("mini", "knee", "midi", "maxi"),
            "fabric": ("denim", "poplin", "satin", "wool", "leather", "corduroy"),
            "closure": ("none", "buttons", "zip"),
            "pockets": ("none", "patch", "side", "flap"),
            "hem": ("straight", "ruffle", "split", "curved"),
            "waist": ("seam", "elastic", "drawstring", "belt", "tie", "loops"),
            "print": ("none", *_WOVEN_PRINTS, "geometric", "chevron", "camo"),
            "trim": ("none", "contrast-stitch", "contrast-edge"),
        },
        "trousers": {
            "silhouette": ("slim", "straight", "relaxed", "flared"),
            "length": ("ankle", "full"),
            "fabric": ("denim", "twill", "wool", "corduroy", "fleece", "linen"),
            "cuff": ("plain", "rolled", "ribbed", "elastic"),
            "pockets": ("none", "side", "patch", "cargo"),
            "waist": ("loops", "elastic", "drawstring", "belt"),
            "closure": ("none", "fly"),
            "print": ("none", "vertical-stripes", "check", "camo", "floral", "leopard", "gingham"),
            "trim": ("none", "contrast-stitch", "side-stripe"),
            "logo": ("none", *LOGOS),
        },
        "shorts": {
            "silhouette": ("slim", "straight", "relaxed"),
            "length": ("mini", "knee"),
            "fabric": ("denim", "twill", "fleece", "linen"),
            "cuff": ("plain", "rolled", "ribbed"),
            "pockets": ("none", "side", "patch", "cargo"),
            "hem": ("straight", "split"),
            "waist": ("loops", "elastic", "drawstring", "belt"),
            "closure": ("none", "fly"),
            "print": ("none", *_WOVEN_PRINTS, "camo", "geometric"),
            "trim": ("none", "contrast-stitch", "side-stripe"),
            "logo": ("none", *LOGOS),
        },
    }
)  # fmt: skip

BOTTOMS = ("skirt", "trousers", "shorts")
_STAND_UP = ("roll-neck", "bow")
_OPEN = ("notch-lapel", "shawl")


def values_for(attribute: str, chosen: Mapping[str, str]) -> Values:
    """The values an attribute may take after those before it (`ATTRIBUTES` order) were chosen."""
    if attribute == "category":
        return tuple(CATEGORIES)
    if attribute == "colour":
        return tuple(COLOURS)
    listed = CATEGORIES[chosen["category"]].get(attribute, NONE)
    rule = _RULES.get(attribute)
    return rule(listed, chosen) if rule else listed


def _keep(listed: Values, *wanted: str) -> Values:
    return tuple(value for value in listed if value in wanted) or NONE


def _drop(listed: Values, *unwanted: str) -> Values:
    return tuple(value for value in listed if value not in unwanted) or NONE


def _collar(listed: Values, chosen: Mapping[str, str]) -> Values:
    """A garment has a neckline or a collar, never both and never neither."""
    if chosen["category"] in BOTTOMS or chosen["neckline"] != "none":
        return NONE
    return _drop(listed, "none") if len(listed) > 1 else listed


def _sleeve_shape(listed: Values, chosen: Mapping[str, str]) -> Values:
    length = chosen["sleeve_length"]
    if length == "none":
        return NONE
    if length == "cap":
        return ("set-in",)
    return _drop(listed, "bell") if length == "short" else listed


def _cuff(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["category"] in BOTTOMS:
        return _keep(listed, "plain") if chosen["silhouette"] == "flared" else listed
    if chosen["sleeve_length"] in ("none", "cap"):
        return NONE
    if chosen["sleeve_shape"] == "bell":
        return ("plain",)
    if chosen["sleeve_shape"] == "puff":
        held = _drop(listed, "plain", "rolled")
        return held if chosen["sleeve_length"] == "long" else _drop(held, "buttoned")
    return listed if chosen["sleeve_length"] == "long" else _drop(listed, "buttoned")


def _closure(listed: Values, chosen: Mapping[str, str]) -> Values:
    collar, neckline = chosen["collar"], chosen["neckline"]
    if chosen["category"] in BOTTOMS:
        return listed
    if collar in _OPEN:
        return _keep(listed, "buttons", "double-breasted", "hidden", "none")
    if collar in _STAND_UP:
        return _keep(listed, "none")
    if collar == "funnel" and chosen["category"] == "sweater":
        return _keep(listed, "half-zip")
    if chosen["category"] == "sweater":
        return _drop(listed, "half-zip")
    if neckline in ("square", "boat", "scoop"):
        return _keep(listed, "none")
    if neckline == "v":
        return _drop(listed, "henley", "half-zip")
    return (
        _drop(listed, "none", "double-breasted")
        if collar == "point"
        else _drop(listed, "double-breasted")
    )


def _pockets(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["closure"] == "zip" and chosen["collar"] == "hood":
        return _drop(listed, "chest")
    if chosen["collar"] in _OPEN:
        return _drop(listed, "chest", "two-flap")
    return _drop(listed, "chest") if chosen["length"] == "cropped" else listed


def _hem(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["silhouette"] in ("flared", "pleated") or chosen["cuff"] in ("rolled", "ribbed"):
        listed = _drop(listed, "split")
    if chosen["closure"] in ("buttons", "zip", "double-breasted", "hidden"):
        return _drop(listed, "split", "knotted", "ruffle")
    return listed


def _waist(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["category"] == "dress" and chosen["silhouette"] == "flared":
        return _drop(listed, "none")
    if chosen["closure"] in ("fly", "zip") and chosen["category"] in BOTTOMS:
        return _keep(listed, "loops", "belt", "seam")
    return listed


def _print(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["fabric"] in ("denim", "corduroy", "leather", "quilted", "cable-knit"):
        return _keep(listed, "none", "colour-block")
    return listed


def _print_scale(listed: Values, chosen: Mapping[str, str]) -> Values:
    plain = chosen["print"] in ("none", "colour-block")
    return NONE if plain else ("small", "medium", "large")


def _trim(listed: Values, chosen: Mapping[str, str]) -> Values:
    return listed if chosen["print"] == "none" else NONE


def _second_colour(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["print"] == "none" and chosen["trim"] == "none":
        return NONE
    return SECOND_COLOURS[chosen["colour"]]


def _hardware(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["closure"] in ("none", "hidden") and chosen["waist"] != "belt":
        return NONE
    # The cloth's own colour would hide it; "tonal" is the visible way to match.
    return _drop(("tonal", "white", "black", "brass"), chosen["colour"])


def _logo(listed: Values, chosen: Mapping[str, str]) -> Values:
    # A cargo pocket lies where the logo would; a print would make it hard to read.
    return listed if chosen["print"] == "none" and chosen["pockets"] != "cargo" else NONE


def _logo_place(listed: Values, chosen: Mapping[str, str]) -> Values:
    if chosen["logo"] == "none":
        return NONE
    if chosen["category"] in BOTTOMS:
        return ("thigh",)
    if chosen["closure"] in ("zip", "buttons", "half-zip", "henley", "double-breasted"):
        return (
            ("chest-left", "chest-right") if chosen["pockets"] not in _CHEST else ("chest-right",)
        )
    return ("centre", "chest-right") if chosen["pockets"] in _CHEST else (
        "centre", "chest-left", "chest-right",
    )  # fmt: skip


_CHEST = ("chest", "two-chest", "two-flap")


def _second_colours() -> dict[str, Values]:
    """For each colour, those that stand out against it."""

    def far(a: str, b: str) -> bool:
        return sum(abs(x - y) for x, y in zip(COLOURS[a], COLOURS[b], strict=True)) > 170

    return {a: tuple(b for b in COLOURS if far(a, b)) for a in COLOURS}


SECOND_COLOURS = _second_colours()

_RULES = {
    "collar": _collar,
    "sleeve_shape": _sleeve_shape,
    "cuff": _cuff,
    "closure": _closure,
    "pockets": _pockets,
    "hem": _hem,
    "waist": _waist,
    "print": _print,
    "print_scale": _print_scale,
    "trim": _trim,
    "second_colour": _second_colour,
    "hardware": _hardware,
    "logo": _logo,
    "logo_place": _logo_place,
}
