"""The kinds of run over HTTP, and the shape of a request for each."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path

from pitboss.api.schemas import KindModel, KindsModel
from pitboss.core.errors import NotFound, suggest
from pitboss.http.deps import Who, Wired
from pitboss.runs.documents import kind_document
from pitboss.runs.kinds import Kinds

router = APIRouter(tags=["kinds"])
REQUEST = "RunRequest"


@router.get("/kinds", response_model=KindsModel)
def list_kinds(platform: Wired, who: Who) -> Any:
    """List the kinds of run that are installed, and what is wrong with any."""
    return {
        "kinds": [kind_document(kind) for kind in platform.kinds.values()],
        "faults": [fault.as_dict() for fault in platform.service.kind_faults(who)],
    }


@router.get("/kinds/{name}", response_model=KindModel)
def get(
    name: Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A kind.")], platform: Wired
) -> Any:
    """Answer a kind: the JSON Schema of its params, examples, and how its runs are queued."""
    kind = platform.kinds.get(name)
    if kind is None:
        raise NotFound(f"there is no kind '{name[:40]}'", suggest(name, platform.kinds))
    return kind_document(kind)


def describe_requests(app: FastAPI, kinds: Kinds) -> None:
    """Have OpenAPI describe `POST /runs` as one of the installed kinds, each with the schema of its params."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _add_kinds(plain(), kinds)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]


def _add_kinds(document: dict[str, Any], kinds: Kinds) -> None:
    schemas = document["components"]["schemas"]
    common = schemas[REQUEST]
    names = {}
    for kind in kinds.values():
        title = "".join(part.capitalize() for part in kind.name.replace("-", "_").split("_"))
        params = kind.params.model_json_schema(ref_template=f"#/components/schemas/{title}Params-{{model}}")
        schemas |= {f"{title}Params-{name}": schema for name, schema in params.pop("$defs", {}).items()}
        schemas[f"{title}Params"] = params
        names[kind.name] = f"#/components/schemas/{title}RunRequest"
        properties = common["properties"] | {
            "kind": {"const": kind.name, "type": "string", "title": "Kind"},
            "params": {"$ref": f"#/components/schemas/{title}Params"},
        }
        examples = [{"kind": kind.name, "params": example} for example in params.get("examples", [])]
        schemas[f"{title}RunRequest"] = {
            key: value for key, value in common.items() if key not in ("examples", "properties", "title")
        } | {"title": f"{title}RunRequest", "description": kind.title, "properties": properties, "examples": examples}
    schemas[REQUEST] = {
        "title": REQUEST,
        "description": common.get("description", ""),
        "oneOf": [{"$ref": reference} for reference in names.values()],
        "discriminator": {"propertyName": "kind", "mapping": names},
        "examples": [example for ref in names.values() for example in schemas[ref.rpartition("/")[2]]["examples"]],
    }
