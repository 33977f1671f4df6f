"""The published table beside ours, as Markdown and JSON."""

import json

import numpy as np
import pytest

from model.attributes.data.meta import OFFICIAL
from model.attributes.metrics import Bootstrap, compare, evaluate_vectors
from model.attributes.published import find_published
from model.attributes.records import Attribute
from model.attributes.report import render_attributes, write_attribute_report
from model.attributes.results import AttributeResults
from model.errors import DataError, ParameterError
from tests.model.attributes.conftest import make_split


def measure(data_set="stitch:mini", method="random", seed=0, names=None):
    split, attributes = make_split()
    if names:
        attributes = [Attribute(n, a.values) for n, a in zip(names, attributes, strict=True)]
    vectors = np.random.default_rng(seed).standard_normal((2, 60, 5)).astype(np.float32)
    return evaluate_vectors(
        lambda k, places: vectors[k][list(places)], split, attributes,
        data_set=data_set, method=method, bootstrap=Bootstrap(rounds=20),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["Triplet network", "CSN", "ASEN", "ASEN++", "RPF"])
def test_the_published_averages_follow_from_the_rows_and_the_official_counts(method):
    layout = OFFICIAL["fashionai"]
    row = next(r for r in find_published("fashionai:x").rows if r.method == method)
    assert set(row.by_attribute) == set(layout.sizes)
    weights = [layout.counts[f"test queries of {name}"] for name in row.by_attribute]
    values = list(row.by_attribute.values())
    assert row.weighted == pytest.approx(np.average(values, weights=weights), abs=0.006)
    assert row.plain == pytest.approx(np.mean(values), abs=0.006)


@pytest.mark.parametrize("kind", ["fashionai", "darn", "deepfashion-attributes"])
def test_published_attributes_are_called_as_in_the_data(kind):
    names = set(OFFICIAL[kind].sizes)
    assert all(set(row.by_attribute) <= names for row in find_published(f"{kind}:x").rows)


def test_the_report_has_both_averages_and_what_others_published():
    found = measure("fashionai:data", "ours", names=("collar_design", "neck_design"))
    text = render_attributes([found])
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert {"**mean over queries**", "**mean over attributes**", "ours: ours"} <= set(lines)
    assert "| ASEN++ | 72.94 | 67.01 | 64.31 | 65.23 |" in text
    assert "printed as 61.02 overall, the plain mean" in lines["ASEN"]
    assert f"{100 * found.weighted['mAP'].value:.2f}" in lines["ours: ours"]


def test_other_data_sets_have_no_published_table():
    assert "as published" not in render_attributes([measure()])


def test_methods_stand_side_by_side_with_their_difference():
    found = [measure(method=f"seed {seed}", seed=seed) for seed in (0, 1)]
    text = render_attributes(found, [compare("seed 1 - seed 0", found[1], found[0])])
    assert "| attribute | seed 0 | seed 1 |" in text
    assert "## seed 1 - seed 0 (points, paired)" in text


@pytest.mark.parametrize("sets", [(), ("stitch:a", "stitch:b")])
def test_only_one_split_fits_a_table(sets):
    with pytest.raises(ParameterError, match="one table cannot hold results of"):
        render_attributes([measure(name) for name in sets])


def test_the_json_comes_back_as_it_was(tmp_path):
    found = [measure(method=f"seed {seed}", seed=seed) for seed in (0, 1)]
    gains = [compare("difference", found[1], found[0])]
    written, _ = write_attribute_report(tmp_path / "new", found, gains)
    content = json.loads(written.read_text())
    again = [AttributeResults.model_validate(each) for each in content["results"]]
    assert [r.model_dump() for r in again] == [r.model_dump() for r in found]
    assert content["gains"][0]["name"] == "difference"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the report to"):
        write_attribute_report(tmp_path / "file", [measure()])


def test_a_row_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="'cuff' was not measured; there are: a, b"):
        measure().row("cuff")
