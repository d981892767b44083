import pytest

from pitboss.core.errors import DiskFull
from pitboss.core.files import LocalFiles, digest_of_file


def test_a_file_is_put_whole_or_not_at_all(tmp_path):
    files = LocalFiles(tmp_path)
    stored = files.put("bars/X/5m.parquet", lambda path: path.write_bytes(b"rows"))
    assert (stored.size, stored.digest) == (4, digest_of_file(files.fetch(stored.name)))

    def fails(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="No space left"):
        files.put("bars/X/5m.parquet", fails)
    assert files.fetch("bars/X/5m.parquet").read_bytes() == b"rows"
    assert files.names("bars") == ["bars/X/5m.parquet"]
    assert [path.name for path in (tmp_path / "bars" / "X").iterdir()] == ["5m.parquet"]


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path):
    files = LocalFiles(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".x.dead.tmp").write_text("half")
    files.put("a/x", lambda path: path.write_text("whole"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    files = LocalFiles(tmp_path)
    files.remove("a/b")
    files.remove_folder("c")
    assert files.fetch("a/b") is None
    assert files.names("c") == []
