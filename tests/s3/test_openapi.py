"""The OpenAPI document: valid, complete, and of the service model that botocore ships."""

from __future__ import annotations

import json

import botocore.session
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from bleepstore.s3.openapi import HEADERS, QUERY, openapi, openapi_document, path_of
from bleepstore.wire.operations import OPERATIONS

METHODS = {"get", "head", "put", "post", "delete"}
SERVED = {row.name for row in OPERATIONS if row.served}


def test_it_is_valid_openapi_3_1() -> None:
    document = json.loads(openapi_document())
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_served_operation_and_no_other_is_described_once() -> None:
    described = [
        item[method]["operationId"]
        for path, item in openapi()["paths"].items()
        for method in METHODS & item.keys()
        if item[method]["tags"] != ["system"]
    ]
    assert sorted(described) == sorted(SERVED)


def test_the_method_and_path_are_the_tables() -> None:
    paths = openapi()["paths"]
    for row in OPERATIONS:
        if row.served:
            assert paths[path_of(row)][row.method.lower()]["operationId"] == row.name


@pytest.mark.parametrize("table", [QUERY, HEADERS], ids=["query", "headers"])
def test_parameters_are_those_of_the_service_model(table: dict[str, tuple[str, ...]]) -> None:
    model = botocore.session.Session().get_service_model("s3")
    place = "querystring" if table is QUERY else "header"
    for name, parameters in table.items():
        assert name in SERVED
        members = model.operation_model(name).input_shape.members.values()
        known = {
            member.serialization.get("name")
            for member in members
            if member.serialization.get("location") == place
        }
        assert set(parameters) <= known, name
