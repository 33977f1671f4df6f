"""The API's contract as a file: `docs/openapi.json`."""

import json
from pathlib import Path

from service.app import create_app
from service.settings import Settings


def render_openapi() -> str:
    """Return the OpenAPI description, the same for every setting and gallery."""
    spec = create_app(Settings(index_dir=Path("unused"))).openapi()
    return json.dumps(spec, indent=2, ensure_ascii=False) + "\n"
