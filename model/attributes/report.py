"""Several methods on one split, as a Markdown table."""

from collections.abc import Sequence

from model.attributes.results import AttributeResults


def render_table(results: Sequence[AttributeResults]) -> str:
    """One row an attribute and both averages, one column a method: mAP, per cent, intervals."""
    methods = [result.method for result in results]
    lines = [
        f"{results[0].data_set}: mAP, per cent",
        "",
        f"| attribute | values | queries | {' | '.join(methods)} |",
        "|---" * (3 + len(methods)) + "|",
    ]
    for row in results[0].rows:
        found = [str(result.row(row.name).metrics["mAP"]) for result in results]
        lines.append(f"| {row.name} | {row.num_values} | {row.queries} | {' | '.join(found)} |")
    for name in ("weighted", "plain"):
        found = [str(getattr(result, name)["mAP"]) for result in results]
        words = {"weighted": "all queries", "plain": "mean of attributes"}[name]
        lines.append(f"| {words} | | | {' | '.join(found)} |")
    return "\n".join(lines)
