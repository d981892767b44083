"""pitboss: a systematic trader's long jobs as durable, observable, cancellable runs.

>>> import pitboss
>>> result = pitboss.backtest("strategy.yaml", bars)     # doctest: +SKIP
>>> client = pitboss.Client("http://127.0.0.1:8000")     # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pitboss.core.version import VERSION

__version__ = VERSION
__all__ = ["Client", "InvalidInput", "PitbossError", "backtest", "sweep"]

if TYPE_CHECKING:
    from pitboss.backtesting.library import backtest, sweep
    from pitboss.client.client import Client
    from pitboss.core.errors import InvalidInput, PitbossError

# numba and polars take a third of a second: they load at the first use, not at `import pitboss`
_HOMES = {
    "backtest": "pitboss.backtesting.library",
    "sweep": "pitboss.backtesting.library",
    "Client": "pitboss.client.client",
    "InvalidInput": "pitboss.core.errors",
    "PitbossError": "pitboss.core.errors",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pitboss' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
