import os

import pytest

from pitboss.core.errors import DiskFull
from pitboss.core.files import BucketFiles, LocalFiles, digest_of_file


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


def test_copies_of_a_bucket_that_nobody_uses_go(tmp_path):
    files = BucketFiles("memory://bucket", tmp_path)
    for name in ("bars/old", "bars/used", "bars/new"):
        files.put(name, lambda path: path.write_text("rows"))
    copies = [files.fetch("bars/old"), files.fetch("bars/used")]
    for copy in copies:
        os.utime(copy, (0.0, 0.0))
    files.fetch("bars/used")
    assert BucketFiles("memory://bucket", tmp_path).fetch("bars/new").read_text() == "rows", "once an hour each process"
    assert [copy.exists() for copy in copies] == [False, True]
    assert files.fetch("bars/old").read_text() == "rows", "the bucket still has it"
