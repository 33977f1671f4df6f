"""How much memory a running service holds, and whether that still grows."""

import re
from collections.abc import Sequence

import httpx
import numpy as np

from model.errors import ParameterError

_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


def read_memory(client: httpx.Client) -> float:
    """Return the service's resident memory in MB (10^6 bytes), as its /metrics say.

    Raises:
        ParameterError: nothing answers there.
    """
    try:
        text = client.get("/metrics").raise_for_status().text
    except httpx.HTTPError as error:
        raise ParameterError(
            f"{client.base_url} does not answer /metrics ({error}); start the service, check --url"
        ) from error
    found = _RESIDENT.search(text)
    return float(found[1]) / 1e6 if found else float("nan")


def fit_slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the slope of the least-squares line through (x, y) points; None below two of them.

    >>> fit_slope([(0, 100), (1, 101), (2, 102)])
    1.0
    """
    if len(points) < 2:
        return None
    x, y = np.asarray(points, np.float64).T
    return round(float(np.polyfit(x, y, 1)[0]), 6)
