"""Files that say the same thing three ways."""

import re

import pytest
import torch

from model.config import get_preset
from model.errors import DataError
from model.evaluation.evaluate import evaluate_model
from model.evaluation.published import find_published, published_rows
from model.evaluation.report import render_markdown, write_report
from model.evaluation.results import Evaluation
from model.evaluation.settings import Settings
from model.evaluation.svg import Mark, Series, dot_plot, line_plot
from model.evaluation.thumbnails import find_misses
from model.mga import build_mga


@pytest.fixture(scope="module")
def found(retrieval):
    torch.manual_seed(0)
    return evaluate_model(build_mga(get_preset("tiny")), retrieval, Settings(rounds=20))


def test_three_files_are_written_and_the_json_comes_back(tmp_path, found):
    data, markdown, page = write_report(tmp_path / "report", found)
    again = Evaluation.model_validate_json(data.read_text())
    assert again.rows == found.rows
    assert str(found.rows[0].metrics["mAP"]) in markdown.read_text()
    assert page.read_text().startswith("<!doctype html>")


def test_the_page_needs_nothing_from_elsewhere(tmp_path, found, retrieval):
    misses = find_misses(found, retrieval)
    page = write_report(tmp_path, found, misses)[2].read_text()
    assert not re.search(r'(src|href)="(?!data:)|https?://|<script|url\(', page)
    assert page.count("<figure>") == 4
    assert page.count("<img") == sum(2 + len(miss.found) for miss in misses)


def test_names_cannot_break_the_page(tmp_path, found):
    evil = found.model_copy(update={"data_set": "<script>alert(1)</script>"})
    assert "<script>" not in write_report(tmp_path, evil)[2].read_text()


def test_misses_come_worst_first_and_perfect_queries_are_none(found, retrieval):
    hits = found.hits._replace(best_rank=found.hits.best_rank.clip(1, 1))
    hits.best_rank[:3] = 2, 5, 3
    changed = found.model_copy(update={"hits": hits})
    assert [miss.rank for miss in find_misses(changed, retrieval)] == [5, 3, 2]
    assert find_misses(found.model_copy(update={"hits": None}), retrieval) == []


@pytest.mark.parametrize("name", ["inshop:x, validation", "csv:inshop, test", ""])
def test_published_numbers_stand_only_beside_the_same_test_set(found, name):
    assert find_published(name) is None
    assert published_rows(found.model_copy(update={"data_set": name})) == []


def test_ours_stand_in_the_papers_columns(found):
    inshop = found.model_copy(update={"data_set": "inshop:photos, test"})
    rows = {row.method: row.values for row in published_rows(inshop)}
    assert rows["MGA"][1] == 94.3
    assert rows["MGA, earlier version"][1] == 95.6
    assert rows["Hyp-ViT"] == (None, 92.5, 98.3, 98.8, None)
    expected = round(100 * found.row("global").metrics["R@20"].value, 1)
    assert rows["this checkpoint: global, exhaustive"][3] == expected
    assert "| Hyp-ViT | – | 92.5 |" in render_markdown(inshop)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, found):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another --out"):
        write_report(tmp_path / "file" / "report", found)


def test_plots_put_larger_values_higher_and_to_the_right():
    marks = [Mark(0, 0.2, 0.1, 0.3), Mark(1, 0.6, 0.5, 0.7)]
    places = re.findall(
        r'cx="([\d.]+)" cy="([\d.]+)"', line_plot("t", ["a", "b"], [Series("s", 1, marks)], "x")
    )
    (left, low), (right, high) = [(float(x), float(y)) for x, y in places]
    assert left < right
    assert low > high
    dots = re.findall(r'cx="([\d.]+)"', dot_plot("t", ["a", "b"], [Series("s", 1, marks)]))
    assert float(dots[0]) < float(dots[1])


def test_a_plot_of_equal_values_does_not_divide_by_zero():
    flat = [Series("s", 1, [Mark(0, 0.0, 0.0, 0.0)])]
    assert "nan" not in line_plot("t", ["a"], flat, "x")
    assert "nan" not in dot_plot("t", ["a"], flat)
