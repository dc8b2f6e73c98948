"""Every class that says it provides one of our interfaces has its methods, as they are declared."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from zope.interface import implementedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass

import bleepstore

CONTRACTS = "bleepstore.interfaces."


def _promises() -> Iterator[tuple[InterfaceClass, type]]:
    for found in pkgutil.walk_packages(bleepstore.__path__, "bleepstore."):
        if found.name == "bleepstore.__main__":
            continue
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, type) and value.__module__ == found.name:
                for interface in implementedBy(value).flattened():
                    if interface.__module__.startswith(CONTRACTS):
                        yield interface, value


PROMISES = tuple(_promises())


@pytest.mark.parametrize(
    ("interface", "implementation"),
    PROMISES,
    ids=[f"{made.__name__} is {promised.__name__}" for promised, made in PROMISES],
)
def test_an_implementation_keeps_its_promise(
    interface: InterfaceClass, implementation: type
) -> None:
    assert verifyClass(interface, implementation)


def test_every_contract_is_implemented() -> None:
    declared = {
        value
        for found in pkgutil.iter_modules(
            importlib.import_module("bleepstore.interfaces").__path__, CONTRACTS
        )
        for value in vars(importlib.import_module(found.name)).values()
        if isinstance(value, InterfaceClass) and value.__module__ == found.name
    }
    assert declared == {interface for interface, _ in PROMISES}
