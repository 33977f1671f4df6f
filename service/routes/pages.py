"""The page to drop a photo on, the list of endpoints, and their static files."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

STATIC_DIR = Path(__file__).parents[1] / "static"


class RevalidatedFiles(StaticFiles):
    """Files that a browser asks for again each time; unchanged ones are answered 304."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Forbid guessing: an update of the service is seen at once."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


router = APIRouter(include_in_schema=False)
static_files = RevalidatedFiles(directory=STATIC_DIR)


@router.get("/")
async def show_page(request: Request) -> Response:
    """Serve the search page."""
    return await static_files.get_response("index.html", request.scope)


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """Serve the list of endpoints: FastAPI's own page loads its scripts from the internet."""
    return await static_files.get_response("docs.html", request.scope)
