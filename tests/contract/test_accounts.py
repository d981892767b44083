"""Accounts, tokens, sessions, guesses, shares, secrets and the audit over every adapter."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from pitboss.accounts.guessing import counters
from pitboss.accounts.model import Role, Session
from pitboss.accounts.ports import Entry
from pitboss.accounts.service import AccountService, Caller
from pitboss.accounts.vault import Vault
from pitboss.core.errors import Conflict, Forbidden, InvalidInput, NotFound, SignInRefused, TooManyGuesses
from pitboss.core.principal import LOCAL, Principal, Rights
from pitboss.core.sealing import Seal
from pitboss.runs.access import RUN
from pitboss.runs.model import NewRun
from pitboss.runs.sharing import Share
from pitboss.storage.accounts import SqlAccountStore
from pitboss.storage.audit import SqlAudit
from pitboss.storage.documents import BacktestShelf, DocumentShelf
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.secrets import SqlSecrets
from pitboss.storage.shares import SqlShares
from pitboss.storage.tables import audit, sessions, strategies, tokens

PASSWORD = "correct horse battery"


class Plain:
    """Passwords without Argon2's tenth of a second."""

    def hashed(self, password):
        return f"hash of {password}"

    def is_right(self, kept, password):
        return kept == f"hash of {password}"

    def is_weaker(self, kept):
        return False


@pytest.fixture
def accounts(database):
    return AccountService(SqlAccountStore(database), SqlAudit(database), Plain())


def actions(accounts):
    return [(entry["who"], entry["action"], entry["target"]) for entry in accounts.audit.read()]


def test_the_first_account_takes_over_what_was_the_local_owners(database, accounts):
    DocumentShelf(database, strategies, "strategy").add("local", "mine", "text")
    BacktestShelf(database).create("local", "saved", {})
    store = SqlRunStore(database)
    store.submit(NewRun(id="r1", kind="a", subject="s", owner="local", params={}, snapshot={}), 10)
    assert (accounts.has_accounts(), accounts.local()) == (False, LOCAL)
    accounts.begin("ann", PASSWORD)
    assert accounts.has_accounts()
    assert accounts.local() == Principal("ann", Rights.ADMINISTER, "this machine")
    assert [s.name for s in DocumentShelf(database, strategies, "strategy").all("ann")] == ["mine"]
    assert [s.name for s in BacktestShelf(database).all("ann")] == ["saved"]
    assert DocumentShelf(database, strategies, "strategy").all("local") == []
    assert store.get("r1").owner == "ann"
    again = NewRun(id="r2", kind="a", subject="s", owner="ann", params={}, snapshot={})
    assert store.submit(again, 10).number == 2, "her runs go on being counted"
    with pytest.raises(Conflict):
        accounts.begin("eve", PASSWORD)


def test_somebody_else_may_take_it_over(database, accounts):
    DocumentShelf(database, strategies, "strategy").add("local", "mine", "text")
    accounts.begin("ann", PASSWORD, adopts="bob")
    assert accounts.local().name == "bob"
    assert [account.role for account in accounts.all(accounts.local())] == [Role.ADMINISTRATOR, Role.TRADER]
    assert [s.name for s in DocumentShelf(database, strategies, "strategy").all("bob")] == ["mine"]
    with pytest.raises(SignInRefused):
        accounts.sign_in("bob", "", Caller())


def test_one_administrator_stays_whatever_is_asked_at_once(accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "administrator")
    refused = []

    def demote(name):
        try:
            accounts.set_role(admin, name, "trader")
        except Conflict:
            refused.append(name)

    threads = [threading.Thread(target=demote, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [account.role for account in accounts.all(admin)].count(Role.ADMINISTRATOR) == 1
    for change in (accounts.disable, accounts.remove):
        with pytest.raises(Conflict):
            change(admin, refused[0])


def test_only_administrators_see_to_accounts_and_the_audit(accounts):
    accounts.begin("ann", PASSWORD)
    trader = Principal("bob", Rights.RUN)
    for asked in (
        lambda: accounts.add(trader, "eve", PASSWORD, "trader"), lambda: accounts.all(trader),
        lambda: accounts.set_role(trader, "ann", "viewer"), lambda: accounts.disable(trader, "ann"),
        lambda: accounts.enable(trader, "ann"), lambda: accounts.remove(trader, "ann"),
        lambda: accounts.entries(trader, "", 10, None),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            asked()
    with pytest.raises(NotFound):
        accounts.set_password(trader, "ann", PASSWORD)


def test_a_name_is_never_given_again(accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "trader")
    accounts.remove(admin, "bob")
    assert [account.name for account in accounts.all(admin)] == ["ann"]
    with pytest.raises(Conflict, match="there is or was"):
        accounts.add(admin, "bob", PASSWORD, "trader")
    with pytest.raises(SignInRefused):
        accounts.sign_in("bob", PASSWORD, Caller())


def test_what_somebody_comes_with_holds_until_it_ends(database, accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "trader")
    bob = accounts.sign_in("bob", PASSWORD, Caller("1.2.3.4", "Firefox"))
    token, key = accounts.create_token(bob.who, "notebook", "read", 3600)
    lasting = accounts.create_token(bob.who, "agent", "run", None)[1]
    found = accounts.identify([(key, "5.6.7.8"), (bob.session, "1.2.3.4"), (lasting, ""), ("pb_nothing", ""), ("", "")])
    assert {who.rights for who in found.values()} == {Rights.READ, Rights.RUN}
    assert found[key, "5.6.7.8"] == Principal("bob", Rights.READ, f"token {token.prefix}", "5.6.7.8")
    used = {each.name: each for each in accounts.tokens(bob.who)}["notebook"]
    assert (used.used_from, used.used_at is not None, used.expires_at - used.created_at) == ("5.6.7.8", True, 3600)
    assert key not in str(used.as_dict())

    with database.writing() as connection:  # an hour later
        connection.execute(sa.update(tokens).where(tokens.c.id == token.id).values(expires_at=time.time() - 1))
    assert accounts.identify([(key, "")]) == {}
    accounts.revoke(bob.who, "agent")
    assert accounts.identify([(lasting, "")]) == {}
    with pytest.raises(NotFound):
        accounts.revoke(bob.who, "agent")
    for at in (
        {"used_at": time.time() - 8 * 86_400},
        {"created_at": time.time() - 31 * 86_400, "used_at": time.time()},
    ):
        with database.writing() as connection:
            connection.execute(sa.update(sessions).values(**at))
        assert accounts.identify([(bob.session, "")]) == {}


def test_disabling_ends_sessions_and_tokens_at_once_and_for_good(accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "trader")
    bob = accounts.sign_in("bob", PASSWORD, Caller())
    key = accounts.create_token(bob.who, "agent", "run", None)[1]
    accounts.disable(admin, "bob")
    assert accounts.identify([(key, ""), (bob.session, "")]) == {}
    with pytest.raises(SignInRefused):
        accounts.sign_in("bob", PASSWORD, Caller())
    accounts.enable(admin, "bob")
    assert accounts.identify([(key, ""), (bob.session, "")]) == {}
    assert accounts.sign_in("bob", PASSWORD, Caller()).who.name == "bob"


def test_a_role_that_is_lowered_lowers_tokens_too(accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "administrator")
    bob = accounts.sign_in("bob", PASSWORD, Caller())
    key = accounts.create_token(bob.who, "all", "admin", None)[1]
    accounts.set_role(admin, "bob", "viewer")
    assert accounts.identify([(key, "")])[key, ""].rights is Rights.READ
    with pytest.raises(InvalidInput, match="more than you may"):
        accounts.create_token(Principal("bob", Rights.READ), "more", "run", None)


def test_a_new_password_ends_sessions_and_takes_the_old_one(accounts):
    accounts.begin("ann", PASSWORD)
    accounts.add(accounts.local(), "bob", PASSWORD, "trader")
    bob = accounts.sign_in("bob", PASSWORD, Caller())
    for before in (None, "", "wrong"):
        with pytest.raises(SignInRefused):
            accounts.set_password(bob.who, "bob", "another long one", before)
    accounts.set_password(bob.who, "bob", "another long one", PASSWORD)
    assert accounts.identify([(bob.session, "")]) == {}
    assert accounts.sign_in("bob", "another long one", Caller()).who.name == "bob"


def test_who_signs_in_while_the_password_changes_is_not_left_inside(database, accounts):
    accounts.begin("ann", PASSWORD)
    store = SqlAccountStore(database)
    described = Session(id="i", account="ann", created_at=0, used_at=0, address="", agent="")
    before = store.get("ann").password
    accounts.set_password(accounts.local(), "ann", "another long one")
    assert not store.add_session(described, "d", before, Entry("ann", "session.start"))
    assert store.known([], ["d"]) == {}
    accounts.add(accounts.local(), "bob", PASSWORD, "trader")
    right = store.get("bob").password
    accounts.disable(accounts.local(), "bob")
    assert not store.add_session(Session(id="j", account="bob", created_at=0, used_at=0, address="", agent=""), "e", right,
                                 Entry("bob", "session.start"))  # fmt: skip


def test_what_was_there_before_falls_to_the_next_administrator(accounts):
    accounts.begin("ann", PASSWORD)
    accounts.add(accounts.local(), "eve", PASSWORD, "administrator")
    accounts.disable(accounts.local(), "ann")
    assert (accounts.local().name, accounts.heir()) == ("eve", "ann")
    accounts.remove(accounts.local(), "ann")
    assert (accounts.local().name, accounts.heir()) == ("eve", "eve")
    accounts.add(accounts.local(), "fay", PASSWORD, "trader")


def test_what_is_typed_as_a_name_is_not_kept(accounts):
    accounts.begin("ann", PASSWORD)
    with pytest.raises(SignInRefused):
        accounts.sign_in("my secret password", "ann", Caller())
    assert "secret" not in str(accounts.audit.read())


def test_signing_out_everywhere_leaves_tokens(accounts):
    accounts.begin("ann", PASSWORD)
    one, other = (accounts.sign_in("ann", PASSWORD, Caller(agent=agent)) for agent in ("a", "b"))
    key = accounts.create_token(one.who, "t", "run", None)[1]
    accounts.sign_out(one.who, one.session)
    assert list(accounts.identify([(one.session, ""), (other.session, "")])) == [(other.session, "")]
    accounts.sign_out_everywhere(one.who)
    assert list(accounts.identify([(other.session, ""), (key, "")])) == [(key, "")]


def test_guessing_is_slowed_and_the_owner_gets_in_from_where_they_have_been(accounts):
    accounts.begin("ann", PASSWORD)
    device = accounts.sign_in("ann", PASSWORD, Caller("10.0.0.9")).device
    answers = []
    for number in range(60):
        try:
            accounts.sign_in("ann", f"guess {number}", Caller("10.0.0.9"))
        except (SignInRefused, TooManyGuesses) as error:
            answers.append(type(error))
    assert answers[:6] == [SignInRefused] * 6
    assert set(answers[6:]) == {TooManyGuesses}
    with pytest.raises(TooManyGuesses):  # even the right one is not tried from there
        accounts.sign_in("ann", PASSWORD, Caller("10.0.0.9"))
    assert accounts.sign_in("ann", PASSWORD, Caller("10.0.0.9", device=device)).who.name == "ann"
    assert accounts.sign_in("ann", PASSWORD, Caller("10.0.0.1")).who.name == "ann"


def test_an_address_that_tries_many_names_is_slowed_too(accounts):
    accounts.begin("ann", PASSWORD)
    answers = []
    for number in range(40):
        try:
            accounts.sign_in(f"name{number}", PASSWORD, Caller("10.0.0.9"))
        except (SignInRefused, TooManyGuesses) as error:
            answers.append(type(error))
    assert answers.count(SignInRefused) == 21


def test_guesses_at_once_are_counted_one_by_one(database):
    store = SqlAccountStore(database)
    counted, waits = counters("ann", "10.0.0.9", ""), []
    threads = [threading.Thread(target=lambda: waits.append(store.begin_guess(counted))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0 for wait in waits) == 6


def test_what_is_done_stands_in_the_audit_and_cannot_be_changed(database, accounts):
    accounts.begin("ann", PASSWORD)
    admin = accounts.local()
    accounts.add(admin, "bob", PASSWORD, "trader")
    bob = accounts.sign_in("bob", PASSWORD, Caller("1.2.3.4"))
    token, key = accounts.create_token(bob.who, "agent", "run", None)
    accounts.set_role(admin, "bob", "viewer")
    accounts.disable(admin, "bob")
    assert actions(accounts) == [
        ("local", "users.init", "ann"), ("ann", "users.add", "bob"), ("bob", "session.start", "bob"),
        ("bob", "tokens.create", token.id), ("ann", "users.role", "bob"), ("ann", "users.disable", "bob"),
        ("ann", "users.signed_out", "bob"),
    ]  # fmt: skip
    said = str(accounts.audit.read())
    assert not [secret for secret in (PASSWORD, key, bob.session, "hash of") if secret in said]
    for statement in (sa.update(audit).values(who="nobody"), sa.delete(audit)):
        with pytest.raises(Exception, match="only grows"), database.writing() as connection:
            connection.execute(statement)
    assert len(actions(accounts)) == 7
    first = accounts.audit.read(limit=2)
    assert len(accounts.audit.read(first[-1]["id"])) == 5
    assert {entry["who"] for entry in accounts.audit.read(who="bob")} == {"bob"}


def test_a_change_that_is_not_noted_is_not_made(database):
    store = SqlAccountStore(database)
    unwritable = Entry("ann", "x", detail={"at": object()})
    for change in (
        lambda: store.add("ann", Role.TRADER, "", unwritable),
        lambda: store.set_password("ann", "x", unwritable),
    ):  # fmt: skip
        with pytest.raises(Exception):  # noqa: B017
            change()
    assert store.all() == []


def test_shares_are_read_by_those_named_until_they_end(database):
    shares = SqlShares(database)

    def share(account, digest=None, lasts=None, thing_id="r1"):
        made = Share(id=f"{account}{digest}{thing_id}", thing=RUN, thing_id=thing_id, owner="ann", account=account,
                     created_at=0, expires_at=None)  # fmt: skip
        return shares.add(made, digest, lasts)

    share("bob")
    share("bob", lasts=-1, thing_id="r2")
    share(None, digest="d", lasts=60)
    assert shares.readable("bob", RUN, ["r1", "r2", "r3"]) == {"r1": "ann"}
    assert shares.readable("eve", RUN, ["r1"]) == {}
    assert shares.readable("bob", "backtest", ["r1"]) == {}
    assert list(shares.shared_with("bob", RUN)) == ["r1"]
    assert shares.by_digest("d").thing_id == "r1"
    assert shares.by_digest("e") is None
    shares.remove("bobNoner1")
    assert shares.readable("bob", RUN, ["r1"]) == {}


def test_secrets_are_sealed_and_each_owners_own(database, tmp_path):
    vault = Vault(SqlSecrets(database), Seal(tmp_path / "k"), SqlAudit(database))
    ann, eve = Principal("ann"), Principal("eve")
    vault.put(ann, "KEY", "first value")
    vault.put(ann, "KEY", "second value")
    vault.put(eve, "KEY", "eve's value")
    assert vault.values("ann", ["KEY"]) == {"KEY": "second value"}
    assert [secret.name for secret in vault.all(ann)] == ["KEY"]
    assert [problem.message for problem in vault.missing(ann, ["KEY", "OTHER"])] == ["there is no secret 'OTHER'"]
    with database.reading() as connection:
        stored = b"".join(row[0] for row in connection.execute(sa.text("SELECT sealed FROM secrets")))
    assert b"value" not in stored
    assert "value" not in str(SqlAudit(database).read())
    vault.remove(ann, "KEY")
    with pytest.raises(NotFound):
        vault.remove(ann, "KEY")
    with pytest.raises(NotFound):
        vault.values("ann", ["KEY"])
    assert vault.values("eve", ["KEY"]) == {"KEY": "eve's value"}


@pytest.mark.parametrize(("name", "value"), [("A B", "long enough"), ("", "long enough"), ("A", "short"), ("A", "x" * 40_000),
                                             ("A", "a\x00bcdefgh"), ("1A", "long enough")])  # fmt: skip
def test_what_cannot_be_a_secret(database, tmp_path, name, value):
    vault = Vault(SqlSecrets(database), Seal(tmp_path / "k"), SqlAudit(database))
    with pytest.raises(InvalidInput):
        vault.put(Principal("ann"), name, value)
    assert vault.all(Principal("ann")) == []
