"""Addresses, filters, limits and refusals of Milvus, without a server."""

from datetime import date, datetime
from pathlib import Path

import pytest

from indexer.build import build_gallery
from indexer.conditions import Predicate
from indexer.filters import read_filter
from indexer.manifest import Dims
from indexer.milvus import client
from indexer.milvus.address import is_address, parse_address
from indexer.milvus.expression import Column, to_stored, write_expression
from indexer.milvus.fields import (
    MAX_DIM,
    check_limits,
    choose_index,
    list_fixed,
    name_columns,
    to_row,
)
from indexer.milvus.records import Sizes, to_tokens
from indexer.verify import verify
from model.errors import GalleryError, ParameterError, StorageError
from tests.indexer.fakes import FakeEncoder

COLUMNS = {"price": "int", "rating": "float", "sale": "bool", "name": "string"}
FIELDS = {name: Column(name, number) for number, name in enumerate(COLUMNS)}


@pytest.mark.parametrize(
    ("text", "uri", "database", "printed"),
    [
        ("milvus://db/shop", "http://db:19530", "", "milvus://db:19530/shop"),
        ("milvus+tls://db:443/one/shop", "https://db:443", "one", "milvus+tls://db:443/one/shop"),
        ("milvus-lite:out/x.db/shop", "./out/x.db", "", "milvus-lite:out/x.db/shop"),
        ("milvus-lite:///out/x.db/shop", "/out/x.db", "", "milvus-lite:/out/x.db/shop"),
    ],
)
def test_an_address_survives_being_a_path(text: str, uri: str, database: str, printed: str) -> None:
    for index in (text, Path(text)):
        assert is_address(index)
        address = parse_address(index)
        assert (address.uri, address.database, str(address)) == (uri, database, printed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("milvus://db", "names no collection"),
        ("milvus://db/", "names no collection"),
        ("milvus://db/my-shop", "of letters, digits and _"),
        ("milvus://db/a/b/shop", "too many parts"),
        ("milvus-lite:x/shop", "expected milvus-lite:PATH.db/COLLECTION"),
        ("out/shop", "no address of a Milvus gallery"),
    ],
)
def test_an_address_that_lacks_a_part_is_refused(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse_address(text)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ParameterError, match="SELVEDGE_MILVUS_TOKEN") as caught:
        parse_address("milvus://root:secret@db/shop")
    assert "secret" not in str(caught.value)


def test_what_needs_a_folder_says_so_and_makes_none(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    index = Path("milvus://db/shop")
    with pytest.raises(ParameterError, match=r"this needs an index folder.*indexer copy"):
        build_gallery(tmp_path, index, FakeEncoder())
    with pytest.raises(ParameterError, match="this needs an index folder"):
        verify(index)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("price < 1.5", "(not array_contains(nulls, 0) and price < 2)"),
        ("NOT price < 1.5", "(not array_contains(nulls, 0) and price >= 2)"),
        ("price <= 1.5 ", "(not array_contains(nulls, 0) and price <= 1)"),
        ("price > 1e300", '(not array_contains(nulls, 0) and item_id == "")'),
        ("price < 1e300", '(not array_contains(nulls, 0) and not (item_id == ""))'),
        ("price IN (1, 2.0, 2.5)", "(not array_contains(nulls, 0) and price in [1, 2])"),
        ("NOT (price IS NULL)", "not (array_contains(nulls, 0))"),
        ("sale < TRUE", "(not array_contains(nulls, 2) and sale == false)"),
        ("rating NOT BETWEEN 1 AND 2",
         "(not array_contains(nulls, 1) and (rating < 1.0 or rating > 2.0))"),
        ("name = 'a\"b''\n'", r'(not array_contains(nulls, 3) and name == "a\"b' + r"""'\n")"""),
        ("NOT (sale OR price = 1)",
         "((not array_contains(nulls, 2) and sale == false) and "
         "(not array_contains(nulls, 0) and price != 1))"),
    ],
)  # fmt: skip
def test_a_filter_is_written_for_milvus(text: str, written: str) -> None:
    assert write_expression(read_filter(text, COLUMNS), FIELDS) == written


def test_an_old_server_is_not_asked_what_it_would_misunderstand() -> None:
    for text in ("LIKE 'a%'", "LIKE 'abc'"):
        write_expression(read_filter(f"name {text}", COLUMNS), FIELDS, any_pattern=False)
    for text in ("LIKE '%a'", "LIKE 'a_c'", "NOT LIKE 'a%b%'"):
        with pytest.raises(ParameterError, match=r"older than 2.4 and understands only 'text%'"):
            write_expression(read_filter(f"name {text}", COLUMNS), FIELDS, any_pattern=False)


def test_dates_and_times_are_stored_as_numbers_to_the_microsecond() -> None:
    assert to_stored(date(1969, 12, 31)) == -1
    assert to_stored(datetime(1970, 1, 1, 0, 0, 1, 5)) == 1_000_005
    assert to_stored(datetime(1969, 12, 31, 23, 59, 59, 999_999)) == -1


def test_a_row_is_the_same_everywhere_and_fits_63_bits() -> None:
    assert to_row("part0/0000.jpg") == to_row("part0/0000.jpg")
    rows = {to_row(f"item {i}") for i in range(1000)}
    assert len(rows) == 1000
    assert all(0 <= row < 2**63 for row in rows)


def test_columns_of_any_name_become_fields_of_ascii_names() -> None:
    named = name_columns({"Größe": "string", "Gr__e": "int", "a" * 300: "int"})
    fields = [column.field for column in named.values()]
    assert len(set(fields)) == len(fields)
    assert all(field.isascii() and field.isidentifier() and len(field) < 255 for field in fields)


class Given:
    """A manifest, as far as limits look at it."""

    def __init__(self, columns: int = 0, recall_dim: int | None = None) -> None:
        self.dims = Dims(
            levels=3, num_tokens=16, token_dim=128, global_dim=1024, recall_dim=recall_dim
        )
        self.source = type("Source", (), {"metadata": {f"c{i}": "int" for i in range(columns)}})


def test_the_shipped_sizes_fit_and_more_is_refused_in_sentences() -> None:
    given = Given(52, 1280)
    check_limits(given, Sizes.of(given.dims).chars)  # type: ignore[arg-type]
    assert Sizes.of(given.dims).chars == 14_168
    assert len(list_fixed(given.dims)) + 52 == 64
    for wrong, words in (
        (Given(53), "53 metadata columns, and Milvus takes at most 52"),
        (Given(0, MAX_DIM + 1), "32,769 numbers, and Milvus takes at most 32,768"),
    ):
        with pytest.raises(ParameterError, match=words):
            check_limits(wrong, 100)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="come to 65,536 characters"):
        check_limits(Given(), 65_536)  # type: ignore[arg-type]
    coded = Given()
    coded.dims = coded.dims.model_copy(update={"token_bytes": 16})
    with pytest.raises(ParameterError, match=r"stores tokens as pq16, .* holds int8 alone"):
        check_limits(coded, 100)  # type: ignore[arg-type]


def test_an_unknown_kind_of_index_is_refused() -> None:
    with pytest.raises(ParameterError, match="expected auto, FLAT, HNSW"):
        choose_index(10, "TREE")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "GPU_CAGRA"])
def test_a_thorough_search_looks_at_no_less(kind) -> None:
    index = choose_index(10**7, kind)
    usual, thorough = (index.search_params(100, thorough=how)["params"] for how in (False, True))
    assert usual.keys() == thorough.keys()
    assert all(thorough[name] >= usual[name] for name in usual)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("auth check failure, please check api key is correct", "refuses this user .*set SELVEDGE"),
        ("Fail connecting to server on db:19530, illegal connection params", "does not answer"),
        ("<_InactiveRpcError: StatusCode.UNAVAILABLE>", "does not answer while reading"),
        ("quota exceeded[reason=disk]", r"the Milvus server says 'quota exceeded\[reason=disk\]'"),
    ],
)
def test_what_the_server_refuses_becomes_a_sentence(said: str, words: str) -> None:
    exceptions = pytest.importorskip("pymilvus.exceptions", reason="pymilvus is not installed")
    address = parse_address("milvus://db/shop")
    with pytest.raises(StorageError, match=words), client.milvus_errors(address, "reading"):
        raise exceptions.MilvusException(message=said)


def test_a_server_that_is_not_there_is_named(monkeypatch) -> None:
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    monkeypatch.setattr(client, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(StorageError, match=r"server 127.0.0.1:1 does not answer while connecting"):
        client.connect(parse_address("milvus://127.0.0.1:1/shop"))


def test_without_the_extra_the_sentence_names_it(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    with pytest.raises(GalleryError, match="install the extra `milvus`"):
        client.connect(parse_address("milvus://db/shop"))


def test_a_condition_needs_no_value_to_ask_for_null() -> None:
    said = Predicate("price", "int", "IS NULL")
    assert write_expression(said, FIELDS) == "array_contains(nulls, 0)"


@pytest.mark.parametrize("text", ["", "AAAA", "AA A", "A", "AAé="])
def test_damaged_tokens_are_refused(text: str) -> None:
    with pytest.raises(StorageError, match="are damaged or have another size"):
        to_tokens([text], Given().dims)
