"""Passwords and the keys that stand for them."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from pitboss.accounts.keys import csrf_of, digest_of, is_csrf_of, new_key
from pitboss.accounts.model import Role, Scope, checked_name, role_of
from pitboss.accounts.passwords import Passwords, checked_password
from pitboss.core.errors import InvalidInput
from pitboss.core.principal import Rights


def test_a_password_is_kept_as_argon2id_and_only_that_one_is_right():
    passwords = Passwords()
    kept = passwords.hashed("correct horse battery")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.is_right(kept, "correct horse battery")
    assert not passwords.is_right(kept, "correct horse batterY")
    assert not passwords.is_right(None, "nobody has this password")
    assert not passwords.is_right("", "")
    assert not passwords.is_right("no hash", "x")


def test_a_hash_of_lesser_parameters_is_noticed():
    passwords = Passwords()
    assert passwords.is_weaker(PasswordHasher(time_cost=1, memory_cost=8192).hash("correct horse battery"))
    assert not passwords.is_weaker(passwords.hashed("correct horse battery"))


@pytest.mark.parametrize("password", ["short", "", "x" * 1025, "aaaaaaaaaaaa", "annabella1"])
def test_a_weak_password_is_refused(password):
    with pytest.raises(InvalidInput):
        checked_password(password, "annabella")


@pytest.mark.parametrize("name", ["", "local", "Ann", "a b", "-a", "a" * 64, "ann\n", "../x", "a/b", 7])
def test_what_cannot_be_a_name(name):
    with pytest.raises(InvalidInput):
        checked_name(name)


@pytest.mark.parametrize("name", ["ann", "ann.b@example.com", "a-1_2", "7"])
def test_what_can_be_a_name(name):
    assert checked_name(name) == name


def test_roles_and_scopes_are_levels_of_the_same_rights():
    assert [role.rights for role in Role] == list(Rights)
    assert [scope.rights for scope in Scope] == list(Rights)
    with pytest.raises(InvalidInput, match="viewer, trader, administrator"):
        role_of("root")


def test_keys_are_long_and_their_digests_say_nothing():
    keys = {new_key("pb_") for _ in range(1000)}
    assert len(keys) == 1000
    assert all(len(key) >= 46 and key.startswith("pb_") for key in keys)
    assert len({digest_of(key) for key in keys}) == 1000
    one, other = list(keys)[:2]
    assert is_csrf_of(one, csrf_of(one))
    assert not is_csrf_of(one, csrf_of(other))
    assert not is_csrf_of(one, "")
    assert not is_csrf_of(one, "ü")
