"""botocore's service model as the oracle: it parses what we write, member by member."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import botocore.session
from botocore.model import ListShape, Shape, StructureShape
from botocore.parsers import RestXMLParser

MODEL = botocore.session.get_session().get_service_model("s3")
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def parsed(operation: str, body: bytes) -> dict[str, Any]:
    """What botocore makes of a body, after checking that the model has every element of it."""
    shape = MODEL.operation_model(operation).output_shape
    root = ElementTree.fromstring(body)
    _require_known(root, _payload(shape))
    response = {"body": body, "headers": {}, "status_code": 200}
    result: dict[str, Any] = RestXMLParser().parse(response, shape)
    del result["ResponseMetadata"]
    return result


def _payload(shape: StructureShape) -> Shape:
    name = shape.serialization.get("payload")
    return shape.members[name] if name else shape


def _require_known(element: ElementTree.Element, shape: Shape) -> None:
    """Every element is a member of its shape, under the name that the model gives it."""
    assert element.tag.startswith(NAMESPACE), element.tag
    if isinstance(shape, ListShape):
        for child in element:
            _require_known(child, shape.member)
        return
    if not isinstance(shape, StructureShape):
        assert len(element) == 0, element.tag
        return
    members = {}
    for name, member in shape.members.items():
        if "location" not in member.serialization:
            flat = isinstance(member, ListShape) and member.serialization.get("flattened")
            shown = member.serialization.get("name", name)
            if flat:
                shown = member.member.serialization.get("name", shown)
            members[shown] = member.member if flat else member
    for child in element:
        name = child.tag.removeprefix(NAMESPACE)
        assert name in members, f"{name} is no member of {shape.name}"
        _require_known(child, members[name])
