"""An agent that asks a language model, with tools that see what is known at each step and nothing else.

Everything here runs in the process of a decision; the orders that a model places are collected, and nothing is traded
before the decision is whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Any

import httpx
from pydantic_ai import Agent, RunContext, Tool, ToolFailed, capture_run_messages
from pydantic_ai.exceptions import AgentRunError, ModelAPIError, ModelHTTPError, UsageLimitExceeded, UserError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from pitboss.core.errors import InvalidInput
from pitboss.sessions.agents.apart import ApartAgent
from pitboss.sessions.agents.prompting import INSTRUCTIONS, portfolio, prompt_of
from pitboss.sessions.agents.spec import AgentSpec, Price
from pitboss.sessions.apart import Line, NotDone, done_apart
from pitboss.sessions.decisions import MOST_REASON, Decision, Intent, Usage
from pitboss.sessions.gate import calculated
from pitboss.sessions.limits import Left
from pitboss.sessions.session import View
from pitboss.trading.book import Refused, filled, outcome_of
from pitboss.trading.model import Account, Action, Order, Source, exact, quantity_of
from pitboss.trading.ports import Quote

TOOL_RETRIES = 3  # for a model that calls what there is not, or with arguments that do not fit
MILLION = Decimal(1_000_000)
_PASSING = frozenset({408, 425, 429})


@dataclass
class Desk:
    """What the tools of one decision work on: what is known, and what has been ordered so far."""

    view: View
    account: Account
    closes: Mapping[str, float]
    line: Line | None = None
    intents: list[Intent] = field(default_factory=list)

    def look(self, what: str, *arguments: Any) -> Any:
        """Answer what is known, by the gate. Raises ToolFailed with what is wrong with the question."""
        assert self.line is not None
        said = self.line.ask({"look": what, "arguments": arguments})
        if "error" in said:
            raise ToolFailed(said["error"])
        return said["answer"]

    def place(self, action: Action, symbol: str, quantity: float, reason: str) -> str:
        """Take an order, as far as it can be told to be possible now. Raises ToolFailed with the refusal's figures."""
        if symbol not in self.closes:
            raise ToolFailed(
                f"there is no price of '{symbol[:40]}': {', '.join(self.closes) or 'nothing'} can be traded"
            )
        number = quantity_of(quantity)
        if number is None:
            raise ToolFailed(f"{quantity} is no quantity")
        order = Order(
            key="", action=action, symbol=symbol, quantity=number, at=self.view.tick.known, source=Source.AI
        )  # fmt: skip
        outcome = outcome_of(self.account, order, Quote(exact(self.closes[symbol])))
        if isinstance(outcome, Refused):
            raise ToolFailed(f"refused: {outcome.reason}")
        self.account = filled(self.account, symbol, outcome)
        self.intents.append(Intent(action=action, symbol=symbol, quantity=str(number), reason=reason[:MOST_REASON]))
        return f"ordered: {action.value} {number} {symbol}, to fill at the next opening, at about {outcome.price:.4f}"


def buy(context: RunContext[Desk], symbol: str, quantity: float, reason: str = "") -> str:
    """Buy shares, which opens or enlarges a long position.

    Args:
        context: what is known.
        symbol: which.
        quantity: how many.
        reason: why, in a few words.
    """
    return context.deps.place(Action.BUY, symbol, quantity, reason)


def sell(context: RunContext[Desk], symbol: str, quantity: float, reason: str = "") -> str:
    """Sell shares that are held.

    Args:
        context: what is known.
        symbol: which.
        quantity: how many.
        reason: why, in a few words.
    """
    return context.deps.place(Action.SELL, symbol, quantity, reason)


def short(context: RunContext[Desk], symbol: str, quantity: float, reason: str = "") -> str:
    """Sell shares that are not held, which opens or enlarges a short position.

    Args:
        context: what is known.
        symbol: which.
        quantity: how many.
        reason: why, in a few words.
    """
    return context.deps.place(Action.SHORT, symbol, quantity, reason)


def cover(context: RunContext[Desk], symbol: str, quantity: float, reason: str = "") -> str:
    """Buy back shares that were sold short.

    Args:
        context: what is known.
        symbol: which.
        quantity: how many.
        reason: why, in a few words.
    """
    return context.deps.place(Action.COVER, symbol, quantity, reason)


def price_history(context: RunContext[Desk], symbol: str, bars: int = 30) -> list[dict[str, Any]]:
    """Answer the last bars of a symbol, oldest first, at most 500.

    Args:
        context: what is known.
        symbol: which.
        bars: how many.
    """
    found: list[dict[str, Any]] = context.deps.look("history", symbol, bars)
    return found


def indicator(context: RunContext[Desk], symbol: str, expression: str, values: int = 5) -> list[dict[str, Any]]:
    """Answer the last values of an expression over a symbol's bars, such as rsi(close, 14) or ema(close, 20) - close.

    Args:
        context: what is known.
        symbol: which.
        expression: in the language of pitboss's strategies, with TA-Lib's indicators.
        values: how many, at most 200.
    """
    found: list[dict[str, Any]] = context.deps.look("indicator", symbol, expression, values)
    return found


def current_portfolio(context: RunContext[Desk]) -> dict[str, Any]:
    """Answer cash, equity, buying power and positions, with what has been ordered in this step counted in."""
    return portfolio(context.deps.account)


def calculator(expression: str) -> float:
    """Answer the value of an arithmetic expression.

    Args:
        expression: such as (3 + 4) * 2.
    """
    try:
        return calculated(expression)
    except InvalidInput as error:
        raise ToolFailed(str(error)) from None


def news_search(context: RunContext[Desk], words: str, articles: int = 5) -> list[dict[str, Any]]:
    """Answer the latest news that hold all of the words, newest first: what was published before now.

    Args:
        context: what is known.
        words: what to look for.
        articles: how many, at most 20.
    """
    found: list[dict[str, Any]] = context.deps.look("news", words, articles)
    return found


TRADES = tuple(Tool(function, sequential=True) for function in (buy, sell, short, cover))
LOOKS = tuple(Tool(function) for function in (price_history, indicator, current_portfolio, calculator, news_search))


class Metered(WrapperModel):
    """A model that says what it has used after each of its answers, and knows what that costs where it was told."""

    def __init__(self, wrapped: Model, price: Price | None, line: Line) -> None:
        super().__init__(wrapped)
        self._price, self._line = price, line
        self.used = Usage()

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:  # fmt: skip
        response = await self.wrapped.request(messages, model_settings, model_request_parameters)
        usage = response.usage
        if self._price is not None:
            rates = (self._price.input, usage.input_tokens), (self._price.output, usage.output_tokens)
            usage.cost = sum((Decimal(repr(rate)) * tokens / MILLION for rate, tokens in rates), Decimal(0))
        cost = usage.cost
        if cost is None:
            with suppress(LookupError, ValueError):
                cost = response.cost().total_price
        used = Usage(
            calls=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
            cost=None if cost is None else float(cost),
        )  # fmt: skip
        self.used = self.used.plus(used)
        self._line.say({"usage": asdict(self.used)})
        return response


@dataclass
class ModelAgent(ApartAgent):
    """Asks a model."""

    key: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        rehearse(self.spec.provider)  # here, and not in the process of each decision

    def asked(self, told: dict[str, Any], view: View, left: Left, line: Line) -> dict[str, Any]:
        return asyncio.run(self._decided(told, view, left, line)).as_dict()

    async def _decided(self, told: dict[str, Any], view: View, left: Left, line: Line) -> Decision:
        model = Metered(model_of(self.spec, self.key, left.seconds), self.spec.price, line)
        closes = {symbol: bars[-1]["close"] for symbol, bars in told["bars"].items() if bars}
        desk, used = Desk(view, view.account, closes, line), RunUsage()
        agent = Agent(
            model, deps_type=Desk, tools=[*TRADES, *LOOKS], toolsets=_servers(self.spec.mcp),
            instructions="\n\n".join(filter(None, (INSTRUCTIONS, self.spec.instructions))), retries=TOOL_RETRIES,
            model_settings=ModelSettings(**self.spec.parameters),  # type: ignore[typeddict-item]
        )  # fmt: skip
        limits = UsageLimits(
            request_limit=left.calls, total_tokens_limit=left.tokens,
            cost_limit=None if left.cost is None else Decimal(repr(left.cost)),
        )  # fmt: skip
        reason, failure, is_silent = "", "", False
        with capture_run_messages() as messages:
            try:
                async with asyncio.timeout(left.seconds):
                    result = await agent.run(prompt_of(told, view.recent), deps=desk, usage_limits=limits, usage=used)
                reason = str(result.output)[:MOST_REASON]
            except (AgentRunError, UserError, TimeoutError, httpx.HTTPError, ValueError, OSError) as error:
                failure, is_silent = _failure(error, left.seconds), _is_silent(error) and not model.used.calls
        return Decision(
            intents=() if failure else tuple(desk.intents), reason=reason, failure=failure, is_silent=is_silent,
            usage=replace(model.used, tool_calls=used.tool_calls), transcript=_transcript(messages),
        )  # fmt: skip


def _transcript(messages: Sequence[ModelMessage]) -> tuple[dict[str, Any], ...]:
    return tuple(ModelMessagesTypeAdapter.dump_python(list(messages), mode="json"))


def _failure(error: Exception, seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {seconds:g} s"
        case UsageLimitExceeded():
            return f"a limit of the decision is reached: {error}"[:400]
        case ModelHTTPError():
            return f"the model's server answered with status {error.status_code}: {str(error.body)[:200]}"
    return f"{type(error).__name__}: {error}"[:400]


def _is_silent(error: Exception) -> bool:
    """Answer whether nobody gave an answer: what passes by itself, or is an outage."""
    if isinstance(error, ModelHTTPError):
        return error.status_code >= 500 or error.status_code in _PASSING
    return isinstance(error, TimeoutError | ModelAPIError | httpx.HTTPError | OSError)


def _servers(addresses: Sequence[str]) -> list[Any]:
    if not addresses:
        return []
    from pydantic_ai.mcp import MCPToolset

    return [MCPToolset(address, tool_error_behavior="failed") for address in addresses]


def probed(spec: AgentSpec, key: str, question: str, check: Callable[[], None]) -> tuple[float | None, Usage]:
    """Ask a model for a number, without any tool; None where it does not know, or does not answer."""
    rehearse(spec.provider)
    seconds = spec.limits.decision_seconds

    def ask(line: Line) -> dict[str, Any]:
        model = Metered(model_of(spec, key, seconds), spec.price, line)
        text = ""
        with suppress(AgentRunError, UserError, httpx.HTTPError, ValueError, OSError):
            text = str(Agent(model, retries=0).run_sync(question).output)
        return {"text": text, "usage": asdict(model.used)}

    try:
        said = done_apart(ask, seconds, check, lambda _request: {})
    except NotDone as error:
        said = {"text": "", "usage": {}} | (error.last or {})
    text, usage = str(said["text"]), Usage(**said["usage"])
    found = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    return (float(found[0].replace(",", "")) if found else None), usage


@cache
def rehearse(provider: str) -> None:
    """Load the libraries of a provider, and have them build what they build at their first use; nobody is asked."""
    for part in ("models", "providers"):
        import_module(f"pydantic_ai.{part}.{provider}")
    spec = AgentSpec(type="llm", model=f"{provider}:none", endpoint="http://127.0.0.1:9")
    model_of(spec, "none", 1.0)
    agent = Agent(TestModel(call_tools=["calculator"]), deps_type=Desk, tools=[*TRADES, *LOOKS], retries=0)
    with capture_run_messages() as messages, suppress(AgentRunError):
        agent.run_sync("rehearsal")
    _transcript(messages)


def model_of(spec: AgentSpec, key: str, seconds: float) -> Model:
    """Answer the model of an agent. What fails for the moment is asked again by its own library."""
    retries = spec.limits.retries
    match spec.provider:
        case "anthropic":
            from anthropic import AsyncAnthropic
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            asked = AsyncAnthropic(api_key=key, base_url=spec.endpoint, max_retries=retries, timeout=seconds)
            return AnthropicModel(spec.model_name, provider=AnthropicProvider(anthropic_client=asked))
        case "google":
            from google.genai.types import HttpRetryOptions
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            options = HttpRetryOptions(attempts=retries + 1)
            google = GoogleProvider(api_key=key, base_url=spec.endpoint, retry_options=options)
            return GoogleModel(spec.model_name, provider=google)
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(api_key=key or "none", base_url=spec.endpoint, max_retries=retries, timeout=seconds)
    return OpenAIChatModel(spec.model_name, provider=OpenAIProvider(openai_client=client))
