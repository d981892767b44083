"""Schemathesis on the OpenAPI document: no 5xx, and nothing that the document does not promise."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pitboss.bootstrap import Platform, open_platform
from pitboss.core.settings import load_settings
from pitboss.serving.app import create_app
from pitboss.serving.guard import LOOPBACK
from support.server import STRATEGY, pitboss

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    pitboss("data", "synth", "--symbol", "SYN", "--timeframe", "5m", "--days", 5, data_dir=folder)
    platform = open_platform(load_settings(data_dir=folder, max_queue_size=50))
    platform.strategies.add("local", "ema-cross", STRATEGY)
    yield create_app(platform, LOOPBACK | {"testserver"})
    platform.close()


def labels() -> list[str]:
    """Answer the operations of the document; it is the same for every platform."""
    document = create_app(Platform(None, None)).openapi()
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


@pytest.mark.parametrize("label", labels())
def test_an_operation_keeps_what_the_document_promises(app, label):
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = next(found.ok() for found in schema.get_all_operations() if found.ok().label == label)
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]

    for mode in modes:

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(operation.as_strategy(generation_mode=mode))
        def check(case):
            case.call_and_validate(checks=CHECKS)

        try:
            check()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # an operation without parameters has no wrong ones
