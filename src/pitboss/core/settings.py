"""Settings: a flag beats an environment variable beats `pitboss.toml` in the data folder beats the default."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.machine import cores
from pitboss.core.places import absolute, at_home, folder

DEFAULT_DATA_DIR = Path("pitboss-data")
LEAST_LEASE_MARGIN_SECONDS = 1.5
SQLITE = "sqlite:///"


_BUCKETS = r"(s3|s3a|gs|gcs|az|abfs|abfss|oss)://[^/].*"
_BROKERS = r"(redis|rediss|sentinel|amqp|amqps|sqs)://.+"
Host = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$", to_lower=True)]
Resource = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


DEFAULT, SESSION = "default", "session"
MOST_SLOTS = 1024
SESSION_SLOTS = 50  # for runs that wait more than they compute


def _slots(given: Any) -> Any:
    """Read `4`, or slots by resource; what is not said of default and session is the usual."""
    if str(given).strip() == "0":
        raise ValueError("a worker without slots runs nothing")
    if isinstance(given, int | str) and not isinstance(given, bool):
        given = {DEFAULT: given}
    return {DEFAULT: cores(), SESSION: SESSION_SLOTS, **given} if isinstance(given, dict) else given


Slots = Annotated[dict[Resource, Annotated[int, Field(ge=0, le=MOST_SLOTS)]], BeforeValidator(_slots)]
Place = Annotated[Path, BeforeValidator(lambda given: at_home(given) if isinstance(given, str) else given)]


def _place_or_none(given: Any) -> Any:
    return at_home(given) if isinstance(given, str) and given else given or None


def _checked_address(text: str) -> str:
    ip_network(text, strict=False)  # raises ValueError that says what is wrong
    return text


Address = Annotated[str, AfterValidator(_checked_address)]
_SEE = "see docs/reference/settings.md"
_HINTS = {
    "root_path": "write /pitboss: with a slash before it, and none behind",
    "allowed_hosts": 'write ["pitboss.example.com"] or ["*.example.com"]: names alone, without scheme, path or port',
    "behind_proxy": 'write ["10.0.0.2"]: the addresses of the proxies, or their networks',
    "trusted_proxies": 'write ["127.0.0.1"] or ["10.0.0.0/8"]',
    "slots": 'write 4, or {default = 4, session = 50}; in a variable {"default": 4}',
    "resources": 'write ["default", "gpu"]',
    "sources": 'write {"tiingo": {"type": "tiingo", "secret": "TIINGO_KEY"}}',
    "python_path": 'write ["/opt/jobs"]',
    "kind_limits": 'write {"sweep": 1}',
}


# variables of the system that pitboss takes the place of, and what they are here
FORMER_NAMES = {
    "MAX_CONCURRENT_EXECUTIONS": "max_concurrent", "EXECUTION_QUEUE_SIZE": "max_queue_size",
    "EXECUTION_TIMEOUT": "max_execution_seconds", "SSE_TIMEOUT": "stream_seconds",
}  # fmt: skip


class Settings(BaseSettings):
    """Everything an operator can set. Durations are seconds, sizes megabytes."""

    model_config = SettingsConfigDict(
        env_prefix="PITBOSS_", env_ignore_empty=True, extra="forbid", frozen=True, allow_inf_nan=False
    )

    data_dir: Place = Field(DEFAULT_DATA_DIR, description="folder of the database, bars, artifacts and logs")
    database_url: str = Field("", description="SQLAlchemy address; empty means SQLite in the data folder")
    listen_url: str = Field("", description="PostgreSQL address for LISTEN past a pooler; empty means database_url")
    files_url: str = Field(
        "",
        pattern=rf"^({_BUCKETS})?$",
        description="where bars and results are, such as s3://bucket/prefix; empty: data_dir",
    )
    broker_url: str = Field(
        "", pattern=rf"^({_BROKERS})?$", description="Celery's broker, such as redis://host/0; empty means no Celery"
    )
    slots: Slots = Field(
        default_factory=lambda: _slots({}),
        description="runs at once per worker, of each resource; a number is of default",
    )
    local_worker: bool = Field(True, description="whether serve and the commands start a worker on this machine")
    secrets_key: Annotated[Path | None, BeforeValidator(_place_or_none)] = Field(
        None, description="file of the key that seals secrets; empty: secrets.key in data_dir, for all its workers"
    )
    resources: list[Resource] = Field([], description="what a worker serves, such as gpu; empty: all that has slots")
    python_path: list[Place] = Field([], description="folders whose modules jobs may import; no other way leads in")
    script_folders: list[Place] = Field([], description="folders whose declared scripts can be run")
    sources: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="sources of market data by name, each with its type; the first is the usual one",
    )
    allowed_hosts: list[Host] = Field([], description="names under which a proxy serves the API, such as *.example.com")
    trusted_proxies: list[Address] = Field(
        ["127.0.0.1", "::1"], description="addresses whose X-Forwarded-For and -Proto are believed"
    )
    behind_proxy: list[Address] = Field(
        [], description="proxies that do the TLS: beyond loopback only they are let in, and their word is believed"
    )
    tls_cert: Annotated[Path | None, BeforeValidator(_place_or_none)] = Field(
        None, description="certificate (with its chain) to serve https with, PEM"
    )
    tls_key: Annotated[Path | None, BeforeValidator(_place_or_none)] = Field(None, description="its key, PEM")
    public_url: str = Field("", pattern=r"^(https?://\S+)?$", description="address of the desk that notices lead to")
    root_path: str = Field(
        "", pattern=r"^(/[\w.~-]+)*$", description="path under which a proxy serves the API: /pitboss"
    )
    lease_seconds: float = Field(15.0, ge=1, le=3600, description="how long a claim holds without renewal")
    renew_seconds: float = Field(3.0, ge=0.01, le=600, description="how often a worker renews its leases")
    cancel_grace_seconds: float = Field(1.5, gt=0, le=1.8, description="from a cancel to SIGKILL of the process group")
    checkpoint_seconds: float = Field(2.0, gt=0, le=86400, description="how often a run saves its state, at most")
    shutdown_grace_seconds: float = Field(10.0, gt=0, le=3600, description="from SIGTERM to the end of a worker")
    idle_exit_seconds: float = Field(5.0, ge=0, description="an automatically started worker ends when idle this long")
    max_queue_size: int = Field(10_000, ge=1, description="queued runs beyond which a submit is refused (429)")
    max_concurrent: int = Field(1024, ge=1, description="active runs over all workers")
    kind_limits: dict[str, NonNegativeInt] = Field(default_factory=dict, description="active runs for each kind")
    owner_limit: int = Field(1024, ge=1, description="active runs for each owner")
    ageing_seconds: float = Field(60.0, gt=0, description="waiting time that raises a priority by one")
    max_execution_seconds: float = Field(0.0, ge=0, description="time limit of a run unless it sets one; 0 is none")
    memory_limit_mb: int = Field(0, ge=0, description="memory limit of a run unless it sets one; 0 is none")
    stream_seconds: float = Field(0.0, ge=0, description="a stream of events ends after this long; 0 is never")
    thin_seconds: float = Field(
        3600.0, ge=0, description="after its end a run's progress is thinned to each stage's last"
    )
    min_free_memory_mb: int = Field(256, ge=0, description="no run starts with less free memory")
    min_free_disk_mb: int = Field(64, ge=0, description="no run starts or is accepted with less free disk")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level logged")

    @model_validator(mode="after")
    def _lease_outlasts_renewal(self) -> Settings:
        if self.lease_seconds < self.renew_seconds + LEAST_LEASE_MARGIN_SECONDS:
            raise ValueError(
                f"lease_seconds is {self.lease_seconds:g}: at least {LEAST_LEASE_MARGIN_SECONDS:g} s more "
                f"than renew_seconds, {self.renew_seconds:g}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: name both, or neither")
        return self

    @property
    def capacity(self) -> dict[str, int]:
        """How many runs of each resource a worker takes; one without slots of its own has as many as default."""
        served = self.resources or [name for name, count in self.slots.items() if count]
        return {name: self.slots.get(name, self.slots[DEFAULT]) for name in served}

    @property
    def key_file(self) -> Path:
        """Where the key that seals secrets is."""
        return self.secrets_key or self.data_dir / "secrets.key"

    @property
    def url(self) -> str:
        """The database's address; what follows `sqlite:///` is a path in which every character stands for itself."""
        return self.database_url or f"{SQLITE}{self.data_dir / 'pitboss.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        given = init_settings().get("data_dir") or env_settings().get("data_dir") or DEFAULT_DATA_DIR
        place = folder(at_home(given) if isinstance(given, str) else given, "data_dir")
        toml = TomlConfigSettingsSource(settings_cls, place / "pitboss.toml")
        former = {new: os.environ[old] for old, new in FORMER_NAMES.items() if os.environ.get(old)}
        return init_settings, env_settings, InitSettingsSource(settings_cls, former), toml


def load_settings(**flags: Any) -> Settings:
    """Read the settings; `flags` that are None count as not given.

    Raises InvalidInput naming each setting that does not hold.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if "data_dir" in given:
        given["data_dir"] = folder(given["data_dir"], "--data-dir")
    try:
        return _with_absolute_paths(Settings(**given))
    except ValidationError as error:
        raise InvalidInput(
            [
                Problem(
                    _told(item),
                    _HINTS.get(str(item["loc"][0] if item["loc"] else ""), _SEE),
                    where=".".join(str(part) for part in item["loc"]),
                )
                for item in error.errors()
            ]
        ) from None
    except SettingsError as error:  # a variable that should hold JSON
        name = re.search(r'field "(\w+)"', str(error))
        where = f"PITBOSS_{name[1].upper()}" if name else "a PITBOSS_ variable"
        hint = _HINTS.get(name[1] if name else "", _SEE)
        raise InvalidInput("it holds no JSON", hint, where=where) from None
    except ValueError as error:  # a pitboss.toml that is no TOML
        raise InvalidInput(f"cannot read pitboss.toml: {error}", "mend or remove it", where="pitboss.toml") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInput(f"cannot read pitboss.toml: {reason}", "make it readable", where="pitboss.toml") from None


def _told(item: Any) -> str:
    """Say what is wrong with a setting; that it does not match an expression tells nobody anything."""
    is_pattern = item["type"] == "string_pattern_mismatch"
    return f"'{str(item['input'])[:60]}' does not fit" if is_pattern else str(item["msg"])


def _with_absolute_paths(settings: Settings) -> Settings:
    """Answer the settings as they hold wherever a process stands."""
    changed: dict[str, Any] = {
        "data_dir": folder(settings.data_dir, "data_dir"),
        "python_path": [absolute(folder, "python_path") for folder in settings.python_path],
        "secrets_key": settings.secrets_key and absolute(settings.secrets_key, "secrets_key"),
        "tls_cert": settings.tls_cert and absolute(settings.tls_cert, "tls_cert"),
        "tls_key": settings.tls_key and absolute(settings.tls_key, "tls_key"),
    }
    if settings.database_url.startswith(SQLITE):
        path = absolute(Path(settings.database_url.removeprefix(SQLITE)), "database_url")
        changed["database_url"] = f"{SQLITE}{path}"
    return settings.model_copy(update=changed)


def _without_password(text: str) -> str:
    return re.sub(r"(?<=:)[^:@/]+(?=@)", "***", text)


def describe_settings(settings: Settings) -> list[dict[str, Any]]:
    """Answer each setting with its value, its default and its meaning, for `config show` and the docs."""
    return [
        {
            "name": name,
            "value": _without_password(str(value)) if isinstance(value := getattr(settings, name), str) else value,
            "default": field.get_default(call_default_factory=True),
            "environment": f"PITBOSS_{name.upper()}",
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
