"""The table of operations and the endpoints are one to one."""

from __future__ import annotations

import pytest
from klein import Klein

from bleepstore.s3.endpoints import endpoint_groups
from bleepstore.s3.identity import host_id, request_ids
from bleepstore.s3.serving import endpoint_table, serves
from bleepstore.wire.operations import BY_NAME, OPERATIONS
from tests.s3.harness import Server


def test_every_served_operation_has_exactly_one_endpoint() -> None:
    server = Server()
    groups = endpoint_groups(server.store, server.region, server.clock)
    names = [name for group in groups for name in group.app.endpoints]
    assert sorted(names) == sorted(row.name for row in OPERATIONS if row.served)
    assert endpoint_table(groups).keys() == set(names)


def test_klein_knows_the_method_of_each() -> None:
    server = Server()
    for group in endpoint_groups(server.store, server.region, server.clock):
        for rule in group.app.url_map.iter_rules():
            assert BY_NAME[rule.endpoint].method in (rule.methods or ())


class _Twice:
    app = Klein()

    @serves(app, "ListBuckets")
    async def list_buckets(self, request: object, call: object) -> None: ...


def test_a_second_endpoint_and_a_missing_one_are_found() -> None:
    server = Server()
    groups = endpoint_groups(server.store, server.region, server.clock)
    with pytest.raises(ValueError, match="two endpoints for ListBuckets"):
        endpoint_table((*groups, _Twice()))
    with pytest.raises(ValueError, match="GetObject"):
        endpoint_table(groups[:2])


def test_request_ids_are_16_upper_case_hex_digits_and_never_twice() -> None:
    following = request_ids(0x1234)
    ids = [following() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 16 and set(each) <= set("0123456789ABCDEF") for each in ids)
    assert request_ids(1)() != request_ids(2)()
    assert host_id(1) == host_id(1) != host_id(2)
