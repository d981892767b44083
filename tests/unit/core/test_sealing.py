"""A sealed text opens with its key and under its name, and in no other way."""

from __future__ import annotations

import os
import threading

import pytest

from pitboss.core.errors import StorageUnavailable
from pitboss.core.sealing import Seal


def test_a_text_comes_back_and_its_key_is_its_owners_alone(tmp_path):
    seal = Seal(tmp_path / "secrets.key")
    sealed = seal.seal("sk_live_ü", "KEY")
    assert b"sk_live" not in sealed
    assert sealed != seal.seal("sk_live_ü", "KEY")
    assert Seal(tmp_path / "secrets.key").open(sealed, "KEY") == "sk_live_ü"
    assert os.stat(tmp_path / "secrets.key").st_mode & 0o777 == 0o600


def test_another_name_another_key_and_a_changed_byte_open_nothing(tmp_path):
    seal = Seal(tmp_path / "a.key")
    sealed = seal.seal("value", "KEY")
    for opened in (lambda: seal.open(sealed, "OTHER"), lambda: Seal(tmp_path / "b.key").open(sealed, "KEY"),
                   lambda: seal.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "KEY")):  # fmt: skip
        with pytest.raises(StorageUnavailable, match="set the secret again"):
            opened()


@pytest.mark.parametrize("content", ["", "pitboss key 1: short", "\x7f" * 40])
def test_a_file_that_holds_no_key_is_told(tmp_path, content):
    path = tmp_path / "secrets.key"
    path.write_text(content)
    with pytest.raises(StorageUnavailable, match=r"holds no key"):
        Seal(path).seal("value", "KEY")


def test_those_who_need_the_first_key_at_once_share_one(tmp_path):
    sealed = []
    threads = [threading.Thread(target=lambda: sealed.append(Seal(tmp_path / "k").seal("v", "N"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Seal(tmp_path / "k").open(each, "N") for each in sealed] == ["v"] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
