"""Try the monitoring of `deploy/` on a running service, with a Prometheus of this machine.

    python scripts/check_monitoring.py http://127.0.0.1:8000

Starts `prometheus` with the configuration and the alerts of deploy/prometheus, which only get
another target and a shorter interval, and asks it each query of the Grafana dashboard. Exit 1 where
the target is down, or an alert is not loaded or cannot be evaluated, or a query fails.
Queries without data are listed: what they count may not have happened yet.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

DEPLOY = Path(__file__).parents[1] / "deploy"
ADDRESS = "127.0.0.1:19090"
# Rates need two samples; so many seconds bring several.
WATCH_S = 25.0


def main() -> int:
    """Print what was found; return the exit status."""
    if len(sys.argv) != 2 or not urlsplit(sys.argv[1]).netloc:
        sys.stderr.write(__doc__ or "")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text((DEPLOY / "prometheus" / "rules.yml").read_text())
        text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        (folder / "prometheus.yml").write_text(point_at(text, urlsplit(sys.argv[1]).netloc))
        with running(folder), httpx.Client(base_url=f"http://{ADDRESS}", trust_env=False) as client:
            time.sleep(WATCH_S)
            return report(client)


def point_at(text: str, target: str) -> str:
    """The configuration with another target, scraped every second.

    >>> point_at("scrape_interval: 15s, targets: [selvedge:8000]", "127.0.0.1:80")
    'scrape_interval: 1s, targets: [127.0.0.1:80]'
    """
    return re.sub(r"interval: \d+s", "interval: 1s", text).replace("selvedge:8000", target)


def list_queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title of the panel and query, of each.

    >>> list(list_queries({"panels": [{"title": "Up", "targets": [{"expr": "up"}]}]}))
    [('Up', 'up')]
    """
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def report(client: httpx.Client) -> int:
    """Ask for target, alerts and every query of the dashboard."""
    targets = ask(client, "targets")["activeTargets"]
    rules = [rule for group in ask(client, "rules")["groups"] for rule in group["rules"]]
    written = len(re.findall(r"- alert:", (DEPLOY / "prometheus" / "rules.yml").read_text()))
    ill = [target for target in targets if target["health"] != "up"]
    ill += [rule for rule in rules if rule["health"] != "ok"]
    print(f"targets up: {sum(target['health'] == 'up' for target in targets)} of {len(targets)}")  # noqa: T201
    print(f"alerts evaluated: {sum(rule['health'] == 'ok' for rule in rules)} of {written}")  # noqa: T201
    queries = list(list_queries(json.loads((DEPLOY / "grafana" / "selvedge.json").read_text())))
    empty = [
        f"  no data: {title}: {query}"
        for title, query in queries
        if not ask(client, "query", query=query)["result"]
    ]
    print(f"queries of the dashboard with data: {len(queries) - len(empty)} of {len(queries)}")  # noqa: T201
    print("\n".join(empty))  # noqa: T201
    return 1 if ill or not targets or len(rules) != written else 0


def ask(client: httpx.Client, what: str, **parameters: str) -> Any:
    """Ask Prometheus; a query that it cannot read raises httpx.HTTPStatusError."""
    return client.get(f"/api/v1/{what}", params=parameters).raise_for_status().json()["data"]


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Run Prometheus on the configuration in `folder` while a block runs."""
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={ADDRESS}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
