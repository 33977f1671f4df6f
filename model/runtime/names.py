"""The one `runtime` setting; loads no tensor library, so that every room can name it."""

from typing import Literal, get_args

from model.errors import ParameterError

RuntimeName = Literal["auto", "eager", "half", "openvino", "compile"]
NAMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
HELP = "How the backbone is computed: auto, eager, half, openvino or compile."


def check_runtime(name: str) -> RuntimeName:
    """Return the name, or refuse it with a ParameterError.

    >>> check_runtime("half")
    'half'
    """
    for known in NAMES:
        if name == known:
            return known
    raise ParameterError(f"{name!r} is not a runtime; use {', '.join(NAMES[:-1])} or {NAMES[-1]}")
