"""What a user can cause ends in a sentence."""

from pathlib import Path

import pytest

from benchmarks.cli import main


def test_a_folder_that_is_no_index_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.csv").write_text("image,product_id\nq.jpg,p\n")
    arguments = ["queries", "--index", str(tmp_path), "--queries", str(tmp_path / "q.csv")]
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "is not an index" in capsys.readouterr().err
