"""What somebody's params can name: their documents, bars, scripts and secrets, as kinds look for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pitboss.accounts.vault import Vault
from pitboss.core.errors import Problem
from pitboss.core.files import Files
from pitboss.core.principal import Principal
from pitboss.learning.registry import ModelVersion, Registry
from pitboss.market.catalog import Catalog
from pitboss.runs.model import Run
from pitboss.storage.documents import DocumentShelf
from pitboss.trading.model import Account, Trader, exact
from pitboss.trading.ports import Quote
from pitboss.trading.service import TradingService

if TYPE_CHECKING:
    from pitboss.kinds.script.registry import Scripts


@dataclass(frozen=True)
class OwnDocuments:
    """Somebody's stored documents of one sort."""

    shelf: DocumentShelf
    who: Principal

    def text_of(self, name: str) -> str:
        return self.shelf.get(self.who.name, name).text

    def names(self) -> list[str]:
        return [stored.name for stored in self.shelf.all(self.who.name)]

    def texts(self) -> dict[str, str]:
        """Answer the newest text of each, by name."""
        return {stored.name: stored.text for stored in self.shelf.all(self.who.name)}


@dataclass(frozen=True)
class OwnSecrets:
    """Somebody's secrets, by name alone."""

    vault: Vault
    who: Principal

    def missing(self, names: Collection[str]) -> list[Problem]:
        return self.vault.missing(self.who, names)


@dataclass(frozen=True)
class OwnTraders:
    """Somebody's traders."""

    trading: TradingService
    who: Principal

    def get(self, reference: str) -> Trader:
        return self.trading.get(self.who, reference)

    def all(self) -> list[Trader]:
        return self.trading.all(self.who)

    def account(self, trader: Trader) -> Account:
        return self.trading.account(self.who, trader.id)


@dataclass(frozen=True)
class OwnModels:
    """Somebody's trained models."""

    registry: Registry
    who: Principal

    def find(self, reference: str) -> ModelVersion:
        return self.registry.find(self.who, reference)


@dataclass(frozen=True)
class OwnQuotes:
    """Prices of the bars that somebody may use; see `trading.ports.Quotes`. Loads the libraries of numbers."""

    files: Files
    home: str

    def quote(self, symbol: str, at: int) -> Quote:
        from pitboss.market.quotes import price_at
        from pitboss.market.store import BarStore

        found = price_at(BarStore(self.files, self.home), symbol, at)
        return Quote(None if found.price is None else exact(found.price), found.refusal)


@dataclass(frozen=True)
class Sources:
    """Where kinds find what somebody's params name; `kinds.documents.prepare.Sources` says what of it they use."""

    strategies: OwnDocuments
    own_screens: OwnDocuments
    bars: Catalog
    scripts: Scripts
    secrets: OwnSecrets
    feeds: Mapping[str, Mapping[str, Any]]
    earlier: Callable[[str], list[Run]]
    traders: OwnTraders
    run: Callable[[str], Run]
    models: OwnModels
    seen: Mapping[str, Any]

    @cached_property
    def screens(self) -> Mapping[str, str]:
        """The texts of the screens that there are, by name."""
        from pitboss.kinds.documents.screens import screens_of

        return screens_of(self.bars.files, self.own_screens.texts())
