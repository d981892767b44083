"""Accounts, tokens and sessions: what administrators, their owners and the doors of a server ask for."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pitboss.accounts.guessing import counters
from pitboss.accounts.keys import SHOWN, TOKEN, digest_of, new_key
from pitboss.accounts.model import Account, Role, Scope, Session, Token, checked_name, role_of
from pitboss.accounts.passwords import Passwords, checked_password
from pitboss.accounts.ports import AccountStore, Audit, Entry, Known
from pitboss.core.errors import Conflict, Forbidden, InvalidInput, NotFound, SignInRefused, TooManyGuesses, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import LOCAL, Principal, Rights

IDLE_SECONDS = 7 * 86_400.0  # without a request a session ends
LONGEST_SECONDS = 30 * 86_400.0  # and after this in any case
TOUCH_SECONDS = 60.0  # how exactly the last use is known
MOST_TOKENS = 100  # of an account
UNKNOWN = "unknown"
HERE, TOKEN_VIA = "this machine", "token "
WRONG = ("the name or the password is wrong", "try again; an administrator can set a new one")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, and the keys that their browser brings from now on."""

    who: Principal
    session: str
    device: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Where somebody comes from who is not known yet, and what their browser says of itself."""

    address: str = ""
    agent: str = ""
    device: str = ""


class AccountService:
    """Whoever asks comes first. Safe to use from any thread."""

    def __init__(self, store: AccountStore, audit: Audit, passwords: Passwords | None = None) -> None:
        self.audit = audit
        self._store = store
        self._passwords = passwords or Passwords()

    def has_accounts(self) -> bool:
        """Answer whether anybody must sign in."""
        return self._store.count() > 0

    def local(self) -> Principal:
        """Answer whom commands on this machine work for: the account that took over what was there before, or where it
        is disabled the first administrator."""
        account = self._store.local()
        return LOCAL if account is None else Principal(account.name, Rights.ADMINISTER, HERE)

    def heir(self) -> str:
        """Answer whose is what was there before."""
        return self._store.heir() or LOCAL.name

    def begin(self, name: str, password: str, adopts: str | None = None, by: Principal = LOCAL) -> Account:
        """Make the first account, an administrator, to whom belongs from now on what belonged to nobody in particular.

        Raises Conflict when there are accounts already.
        """
        checked_password(password, checked_name(name))
        heir = checked_name(adopts or name)
        if self.has_accounts():
            raise Conflict("there are accounts already", "an administrator adds more: pitboss users add")
        entry = Entry.of(by, "users.init", name, adopts=heir)
        made = self._store.add(name, Role.ADMINISTRATOR, self._passwords.hashed(password), entry, adopts=heir == name)
        if heir != name:
            added = Entry.of(by, "users.add", heir, role=Role.TRADER.value)
            self._store.add(heir, Role.TRADER, "", added, adopts=True)
        return made

    def add(self, who: Principal, name: str, password: str, role: str) -> Account:
        """Make an account. Raises InvalidInput, Conflict."""
        _require_operator(who)
        _require_account(who)
        checked_password(password, checked_name(name))
        entry = Entry.of(who, "users.add", name, role=role_of(role).value)
        return self._store.add(name, role_of(role), self._passwords.hashed(password), entry)

    def owner(self, name: str) -> Principal | None:
        """Answer as whom what somebody has planned is done, None when their account is not enabled any more."""
        if name == LOCAL.name:
            return LOCAL
        account = self._store.get(name)
        if account is None or not account.is_enabled or account.role.rights < Rights.RUN:
            return None
        return Principal(name, account.role.rights, "schedule")

    def is_enabled(self, name: str) -> bool:
        """Answer whether what somebody has shared still holds; whoever was there before accounts never ends."""
        account = self._store.get(name)
        return name == LOCAL.name or (account is not None and account.is_enabled)

    def acting_for(self, who: Principal, name: str | None) -> Principal:
        """Answer as whom an administrator sees to somebody's tokens; oneself where nobody is named. Raises NotFound,
        Forbidden."""
        if name is None or who.owns(name):
            return who
        _require_operator(who)
        account = self._store.get(name)
        if account is None:
            raise NotFound(f"there is no account '{name[:64]}'", "list the accounts to see which there are")
        return Principal(name, account.role.rights, f"{who.name} for it", who.address)

    def entries(self, who: Principal, after: str, limit: int, of: str | None) -> list[dict[str, Any]]:
        """Answer the audit after an entry, oldest first; of one account where it is named. Raises Forbidden."""
        _require_operator(who)
        return self.audit.read(after, limit, of)

    def all(self, who: Principal) -> list[Account]:
        """Answer every account, by name."""
        _require_operator(who)
        return self._store.all()

    def set_role(self, who: Principal, name: str, role: str) -> Account:
        """Change what an account is for. Raises NotFound, Conflict for the last administrator."""
        wanted = role_of(role)
        return self._changed(who, name, {"role": wanted.value}, "users.role", role=wanted.value)

    def enable(self, who: Principal, name: str) -> Account:
        """Let an account sign in again. Raises NotFound."""
        return self._changed(who, name, {"is_enabled": True}, "users.enable")

    def disable(self, who: Principal, name: str) -> Account:
        """End an account's sessions and tokens at once, and let it sign in no more. Raises NotFound, Conflict."""
        changed = self._changed(who, name, {"is_enabled": False}, "users.disable")
        self._store.forget(name, False, Entry.of(who, "users.signed_out", name))
        return changed

    def remove(self, who: Principal, name: str) -> None:
        """Remove an account; what it owns stays, and its name is never given again. Raises NotFound, Conflict."""
        self.disable(who, name)
        self._store.remove(name, Entry.of(who, "users.remove", name))

    def _changed(
        self, who: Principal, name: str, values: Mapping[str, Any], action: str, **detail: Any
    ) -> Account:  # fmt: skip
        _require_operator(who)
        if self._store.get(name) is None:
            known = [account.name for account in self._store.all()]
            raise NotFound(f"there is no account '{name[:64]}'", suggest(name, known))
        changed = self._store.change(name, values, Entry.of(who, action, name, **detail))
        assert changed is not None
        return changed

    def set_password(self, who: Principal, name: str, password: str, before: str | None = None) -> Account:
        """Change a password and end the account's sessions; one's own takes the one `before`.

        Raises InvalidInput, NotFound; SignInRefused when `before` is wrong.
        """
        account = self._store.get(name) if who.owns(name) or who.is_operator else None
        if account is None:
            raise NotFound(f"there is no account '{name[:64]}'", "list the accounts to see which there are")
        checked_password(password, name)
        if before is not None or not who.is_operator:
            self._guess(name, before or "", Caller(who.address))
        hashed = self._passwords.hashed(password)
        entries = Entry.of(who, "users.password", name), Entry.of(who, "users.signed_out", name)
        changed = self._store.set_password(name, hashed, *entries)
        assert changed is not None
        return changed

    def sign_in(self, name: str, password: str, caller: Caller) -> SignedIn:
        """Answer a new session. Raises SignInRefused, which does not say why; TooManyGuesses."""
        account = self._guess(name, password, caller)
        session, device = new_key(), caller.device
        if not device or not self._store.knows_device(digest_of(device), name):
            device = new_key()
            self._store.add_device(digest_of(device), name)
        described = Session(
            id=new_id(), account=name, created_at=0, used_at=0, address=caller.address, agent=caller.agent[:200]
        )
        via = f"session {described.id[-8:]}"
        who = Principal(name, account.role.rights, via, caller.address)
        entry = Entry.of(who, "session.start", name)
        if not self._store.add_session(described, digest_of(session), account.password, entry):
            raise SignInRefused(*WRONG)  # the password was changed, or the account disabled, meanwhile
        return SignedIn(who, session, device)

    def _guess(self, name: str, password: str, caller: Caller) -> Account:
        """Answer the account of a name and its password; a guess is counted before it is tried."""
        device = digest_of(caller.device) if caller.device else ""
        is_known = bool(device) and self._store.knows_device(device, name)
        counted = counters(name[:64], caller.address, device if is_known else "")
        wait = self._store.begin_guess(counted)
        if wait > 0:
            raise TooManyGuesses("too many wrong passwords from here", wait)
        account = self._store.get(name) if len(name) <= 64 else None
        may = account is not None and account.is_enabled
        is_right = self._passwords.is_right(account.password if account is not None and may else None, password)
        if account is None or not is_right:
            known = name if account is not None else UNKNOWN  # what is typed in the wrong field may be a password
            self.audit.record([Entry(known, "session.refused", known, "", caller.address)])
            raise SignInRefused(*WRONG)
        self._store.forgive(counted)
        if self._passwords.is_weaker(account.password):
            entry = Entry(name, "users.rehashed", name, "", caller.address)
            rehashed = self._store.change(name, {"password": self._passwords.hashed(password)}, entry)
            account = rehashed or account
        return account

    def identify(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Principal]:
        """Answer who comes with each of `keys`, (key, address): those that are known, have not ended, and whose
        accounts are enabled. The last use is noted."""
        digests = {key: digest_of(key) for key, _ in keys}
        of_tokens = [digest for key, digest in digests.items() if key.startswith(TOKEN)]
        known = self._store.known(of_tokens, [digest for key, digest in digests.items() if not key.startswith(TOKEN)])
        found, used = {}, {}
        for key, address in keys:
            match = known.get(digests[key])
            who = _principal_of(match, address) if match is not None else None
            if who is None or match is None:
                continue
            found[key, address] = who
            last = match.token.used_at if match.token else match.session.used_at if match.session else None
            if last is None or match.now - last > TOUCH_SECONDS:
                used[digests[key]] = address
        if used:
            self._store.touch(used)
        return found

    def sign_out(self, who: Principal, key: str) -> None:
        """End a session."""
        self._store.end_session(digest_of(key), Entry.of(who, "session.end", who.name))

    def sign_out_everywhere(self, who: Principal) -> None:
        """End all sessions of one's own."""
        _require_no_token(who)
        self._store.forget(who.name, True, Entry.of(who, "session.end_all", who.name))

    def create_token(self, who: Principal, name: str, scope: str, lasts: float | None) -> tuple[Token, str]:
        """Answer a new token of one's own and what it is, which nobody can tell again; `lasts` is seconds.

        Raises InvalidInput for a scope beyond one's rights, Conflict.
        """
        _require_account(who)
        _require_no_token(who)
        if not 1 <= len(name) <= 64 or not name.isprintable():
            raise InvalidInput("a token has a name of 1 to 64 characters", "say what it is for", "name")
        if scope not in list(Scope):
            raise InvalidInput(f"'{scope[:40]}' is no scope", f"write {', '.join(Scope)}", "scope")
        if Scope(scope).rights > who.rights:
            raise InvalidInput(f"'{scope}' is more than you may do", "choose a smaller scope", "scope")
        own = [token for token in self.tokens(who) if token.is_live(time.time())]
        if len(own) >= MOST_TOKENS:
            raise Conflict(f"there are {len(own)} tokens", "revoke those that nobody uses")
        if any(token.name == name for token in own):
            raise Conflict(f"there is a token '{name}' already", "revoke it, or choose another name")
        key = new_key(TOKEN)
        token = Token(id=new_id(), account=who.name, name=name, scope=Scope(scope), prefix=key[:SHOWN], created_at=0.0)
        entry = Entry.of(who, "tokens.create", token.id, name=name, scope=scope, prefix=token.prefix)
        return self._store.add_token(token, digest_of(key), lasts, entry), key

    def tokens(self, who: Principal, of_all: bool = False) -> list[Token]:
        """Answer one's own tokens, newest first; an administrator may see those of all."""
        return self._store.tokens(None if of_all and who.is_operator else who.name)

    def revoke(self, who: Principal, reference: str) -> Token:
        """End a token, named by its id, its prefix or its name. Raises NotFound, Conflict."""
        live = [token for token in self.tokens(who, of_all=True) if token.revoked_at is None]
        own = [token for token in live if reference in (token.id, token.prefix)]
        own = own or [token for token in live if token.name == reference and who.owns(token.account)]
        if not own:
            raise NotFound(f"there is no token '{reference[:64]}'", "list the tokens to see which there are")
        if who.via != f"{TOKEN_VIA}{own[0].prefix}":  # it may end itself
            _require_no_token(who)
        self._store.revoke(own[0].id, Entry.of(who, "tokens.revoke", own[0].id, name=own[0].name))
        return own[0]


def _principal_of(known: Known, address: str) -> Principal | None:
    """Answer who comes with a key, None where it has ended."""
    account, token, session, now = known.account, known.token, known.session, known.now
    if not account.is_enabled:
        return None
    if token is not None:
        if not token.is_live(now):
            return None
        rights = min(account.role.rights, token.scope.rights)
        return Principal(account.name, rights, f"{TOKEN_VIA}{token.prefix}", address)
    if session is None or now - session.used_at > IDLE_SECONDS or now - session.created_at > LONGEST_SECONDS:
        return None
    return Principal(account.name, account.role.rights, f"session {session.id[-8:]}", address)


def _require_account(who: Principal) -> None:
    if who == LOCAL:
        raise Conflict("there are no accounts: nobody has to say who asks", "make the first: pitboss users init")


def _require_no_token(who: Principal) -> None:
    """Refuse what would let a token that got into wrong hands outlive its end, or end the others."""
    if who.via.startswith(TOKEN_VIA) and not who.is_operator:
        raise Forbidden("a token cannot do that", "sign in with the password: unset PITBOSS_TOKEN")


def _require_operator(who: Principal) -> None:
    if not who.is_operator:
        raise Forbidden("only an administrator may do that", "ask one")
