"""How a trader decides, as it is written: checked once, kept with the trader, and read by every session."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.sessions.limits import Limits

PROVIDERS = ("openai", "anthropic", "google")
EXTRA = "pip install 'pitboss[agents]'"


def _address(given: str) -> str:
    if not given.startswith(("http://", "https://")):
        raise ValueError("write http://… or https://…")
    return given.rstrip("/")


Address = Annotated[str, Field(max_length=500), AfterValidator(_address)]
Text = Annotated[str, Field(max_length=20_000)]
Number = Annotated[float, Field(ge=0, le=10_000)]


class Price(BaseModel):
    """What a model costs, US dollars for a million tokens: for one that nobody else knows the price of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Number
    output: Number


class AgentSpec(BaseModel):
    """How a trader decides.

    `rules` trades a `strategy`, with `parameters` of its document; `llm` asks a `model` (`anthropic:…`, `google:…`,
    `openai:…`, or any name at an OpenAI-compatible `endpoint`) with `parameters` such as temperature; `remote` asks
    whoever answers at `endpoint`, or without one waits for decisions over HTTP; `replay` decides what `run` decided;
    `random` trades `parameters.trades` times for `parameters.holding` steps each, or as often and as long as `run`.
    `cutoff` is the last date that a model was trained on: what it trades before, it may remember.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["rules", "llm", "replay", "remote", "random"]
    strategy: Annotated[str, Field(max_length=200_000)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    endpoint: Address | None = None
    api_key_secret: Annotated[str, Field(max_length=64)] | None = None
    instructions: Text = ""
    parameters: dict[str, Any] = {}
    limits: Limits = Limits()
    price: Price | None = None
    mcp: Annotated[tuple[Address, ...], Field(max_length=10)] = ()
    run: Annotated[str, Field(max_length=64)] | None = None
    cutoff: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None

    @property
    def provider(self) -> str:
        """The provider of the model: its prefix, `openai` where it has none."""
        prefix = (self.model or "").partition(":")[0]
        return prefix if prefix in PROVIDERS and ":" in (self.model or "") else "openai"

    @property
    def model_name(self) -> str:
        name = self.model or ""
        return name.removeprefix(f"{self.provider}:")

    def may_remember(self, date: str) -> bool:
        """Answer whether a model may have been trained on what came after a date: it may, where nobody says until when
        it was."""
        return self.type == "llm" and (self.cutoff is None or date <= self.cutoff)

    def faults(self) -> list[Problem]:
        """Answer what does not fit together."""
        found = []
        needed = {"rules": ("strategy",), "llm": ("model",), "replay": ("run",)}.get(self.type, ())
        for name in needed:
            if getattr(self, name) is None:
                found.append(Problem(f"an agent of type {self.type} needs '{name}'", f"name its {name}", where=name))
        if self.type == "llm":
            found += self._model_faults()
        if self.type == "random":
            found += self._random_faults()
        return [Problem(each.message, each.remedy, where=f"agent.{each.where}") for each in found]

    def _model_faults(self) -> list[Problem]:
        found = []
        if find_spec("pydantic_ai") is None:
            found.append(
                Problem("agents that ask models are not installed here", f"install them: {EXTRA}", where="type")
            )
        if self.endpoint is None and self.api_key_secret is None:
            what = f"{self.provider} wants a key"
            found.append(Problem(what, "name the secret that holds it", where="api_key_secret"))
        unknown = sorted(set(self.parameters) - set(MODEL_PARAMETERS))
        for name in unknown:
            remedy = suggest(name, MODEL_PARAMETERS)
            found.append(Problem(f"unknown parameter '{name[:40]}'", remedy, where=f"parameters.{name[:40]}"))
        if self.limits.has_cost and self.price is None and not found and not is_priced(self):
            what = f"nobody knows the price of '{self.model}', so that a limit of money cannot be kept"
            found.append(Problem(what, "give its price: {input: 3, output: 15}", where="price"))
        return found

    def _random_faults(self) -> list[Problem]:
        found = []
        for name in ("trades", "holding", "seed"):
            value = self.parameters.get(name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
                found.append(Problem(f"{name} is no whole number", "write 10", where=f"parameters.{name}"))
        for name in sorted(set(self.parameters) - {"trades", "holding", "seed"}):
            remedy = suggest(name, ("trades", "holding", "seed"))
            found.append(Problem(f"unknown parameter '{name[:40]}'", remedy, where=f"parameters.{name[:40]}"))
        return found


MODEL_PARAMETERS = (
    "temperature", "top_p", "top_k", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "stop_sequences",
    "thinking", "extra_body", "parallel_tool_calls", "service_tier",
)  # fmt: skip


def is_priced(spec: AgentSpec) -> bool:
    """Answer whether the price of a model is known."""
    from genai_prices import Usage, calc_price  # only who has the extra gets here

    try:
        calc_price(Usage(input_tokens=1, output_tokens=1), spec.model_name, provider_id=spec.provider)
    except LookupError:
        return False
    return spec.endpoint is None


def read_agent(given: Mapping[str, Any]) -> AgentSpec:
    """Answer an agent as it is written. Raises InvalidInput with every mistake."""
    try:
        spec = AgentSpec.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(
            [
                Problem(
                    f"{str(each['input'])[:60]!r}: {each['msg'][0].lower()}{each['msg'][1:]}",
                    where=".".join(["agent", *map(str, each["loc"])]),
                )
                for each in error.errors()
            ]
        ) from None
    if faults := spec.faults():
        raise InvalidInput(faults)
    return spec
