"""Goal: the folder of schemas is written whole, and what is stale in it is named."""

from pathlib import Path

import pytest

from scripts.write_schemas import expected, main, stale


def test_files_are_written_and_then_nothing_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "schemas"
    assert main(["--check"], folder) == 1
    assert main([], folder) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(expected())
    assert main(["--check"], folder) == 0
    assert main([], folder) == 0
    assert capsys.readouterr() == ("", "")


def test_stale_files_are_named_and_put_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], tmp_path)
    capsys.readouterr()
    (tmp_path / "chat-request.json").write_text("{}", "utf-8")
    (tmp_path / "event-done.json").unlink()
    (tmp_path / "event-gone.json").write_text("{}", "utf-8")
    assert main(["--check"], tmp_path) == 1
    named = [line.split()[1].rpartition("/")[2] for line in capsys.readouterr().err.splitlines()]
    assert named == ["chat-request.json", "event-done.json", "event-gone.json"]
    main([], tmp_path)
    assert stale(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == set(expected())
