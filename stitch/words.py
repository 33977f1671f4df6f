"""A design in words, and what it would cost."""

from stitch.design import Design

_LENGTHS = {
    "cropped": "cropped", "long": "longline", "mini": "mini", "knee": "knee-length",
    "midi": "midi", "maxi": "maxi", "ankle": "ankle-length",
}  # fmt: skip
_SILHOUETTES = {"straight": "", "relaxed": "relaxed"}
_PRINTS = {
    "stripes": "striped", "vertical-stripes": "vertically striped", "check": "checked",
    "dots": "dotted", "colour-block": "colour-block",
}  # fmt: skip
_COLLARS = {
    "polo": "polo collar", "point": "point collar", "button-down": "button-down collar",
    "camp": "camp collar", "mandarin": "mandarin collar", "peter-pan": "Peter Pan collar",
    "bow": "bow collar", "roll-neck": "roll neck", "shawl": "shawl collar",
    "notch-lapel": "notch lapels", "hood": "hood", "funnel": "funnel neck",
}  # fmt: skip
_NECKLINES = {
    "crew": "crew neck", "v": "V-neck", "scoop": "scoop neck", "square": "square neck",
    "boat": "boat neck",
}  # fmt: skip
_POCKETS = {
    "chest": "chest pocket", "two-chest": "two chest pockets", "two-flap": "two flap pockets",
    "kangaroo": "kangaroo pocket", "side": "side pockets", "patch": "patch pockets",
    "flap": "flap pockets", "cargo": "cargo pockets",
}  # fmt: skip
_CLOSURES = {
    "henley": "button placket", "half-zip": "half zip", "zip": "full zip",
    "double-breasted": "double-breasted front", "hidden": "hidden placket",
}  # fmt: skip
_CUFFS = {
    "ribbed": "ribbed cuffs", "rolled": "rolled cuffs", "buttoned": "buttoned cuffs",
    "elastic": "gathered cuffs",
}  # fmt: skip
_HEMS = {
    "curved": "curved hem", "ribbed": "ribbed hem", "ruffle": "ruffle hem", "split": "split hem",
    "knotted": "knotted hem",
}  # fmt: skip
_WAISTS = {
    "loops": "belt loops", "belt": "belt", "tie": "tie waist", "drawstring": "drawstring",
    "elastic": "elastic waist",
}  # fmt: skip
_SHAPES = {
    "puff": "puff sleeves", "bell": "bell sleeves", "raglan": "raglan sleeves",
    "dropped": "dropped shoulders",
}  # fmt: skip

_PRICES = {
    "t-shirt": 15, "polo": 25, "shirt": 35, "blouse": 32, "sweater": 45, "hoodie": 40,
    "jacket": 90, "coat": 140, "dress": 55, "skirt": 35, "trousers": 45, "shorts": 28,
}  # fmt: skip
_FABRIC_COST = {"leather": 2.4, "wool": 1.5, "cable-knit": 1.5, "satin": 1.3, "quilted": 1.3}


def write_title(design: Design) -> str:
    """Name the garment: colour, print, shape, category, then up to three details."""
    words = [design.colour, *_print_words(design), design.fabric.replace("-", " ")]
    words += [_SILHOUETTES.get(design.silhouette, design.silhouette)]
    words += [_LENGTHS.get(design.length, ""), _sleeve_words(design), design.category]
    name = " ".join(word for word in words if word)
    details = list_details(design)[:3]
    text = f"{name} with {_join(details)}" if details else name
    return text[0].upper() + text[1:]


def list_details(design: Design) -> list[str]:
    """The details worth saying, the most telling first."""
    said = [
        _COLLARS.get(design.collar),
        _NECKLINES.get(design.neckline),
        f"{design.logo} logo" if design.logo != "none" else None,
        _POCKETS.get(design.pockets),
        _CLOSURES.get(design.closure),
        _WAISTS.get(design.waist),
        _SHAPES.get(design.sleeve_shape),
        _CUFFS.get(design.cuff),
        _HEMS.get(design.hem),
    ]
    return [detail for detail in said if detail]


def estimate_price(design: Design) -> float:
    """A plausible price in euros; equal designs cost the same."""
    wobble = int(design.key[:4], 16) / 16**4
    price = _PRICES[design.category] * _FABRIC_COST.get(design.fabric, 1.0)
    return round(price * (0.8 + 0.5 * wobble)) - 0.05


def _print_words(design: Design) -> list[str]:
    if design.print == "none":
        return []
    pattern = _PRINTS.get(design.print, design.print)
    return [f"and {design.second_colour}", pattern]


def _sleeve_words(design: Design) -> str:
    if design.category in ("t-shirt", "dress") and design.sleeve_length == "none":
        return "sleeveless"
    if design.category in ("t-shirt", "blouse", "dress", "shirt", "polo", "sweater"):
        return f"{design.sleeve_length}-sleeve" if design.sleeve_length != "none" else ""
    return ""


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
