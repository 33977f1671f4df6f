"""The page and /docs are served whole, and ask nobody else for anything."""

import re

import pytest
from starlette.testclient import TestClient

from service.routes.pages import STATIC_DIR

FILES = sorted(path.name for path in STATIC_DIR.iterdir())


@pytest.mark.parametrize(("path", "script"), [("/", "static/app.js"), ("/docs", "static/docs.js")])
def test_a_page_and_its_script_are_served(client: TestClient, path: str, script: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert f'src="{script}"' in page.text
    assert client.get(f"/{script}").status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_no_static_file_refers_to_another_host(name: str) -> None:
    text = (STATIC_DIR / name).read_text("utf-8")
    hosts = set(re.findall(r"https?://([^\s/\"'`$]+)", text)) - {"www.w3.org"}
    assert not hosts


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".html")])
def test_pages_hold_no_inline_script_or_style(name: str) -> None:
    text = (STATIC_DIR / name).read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js"])
def test_an_unchanged_page_is_304(client: TestClient, path: str) -> None:
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/nope.js"])
def test_nothing_outside_the_folder_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
