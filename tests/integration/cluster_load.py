"""Clients of a cluster that go on whatever happens, and write down what they saw.

Each is a thread that asks one node after another, by chance, with boto3 and without retries: what
it is not told is unknown.  All use the few keys of one bucket, which changes from time to time, so
that unknown outcomes do not add up; its history is for ``tests.sim.linearizability``.  Beside that
they keep a journal of objects that are written once, each of which has to be there in the end.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from urllib3.exceptions import HTTPError

from tests.integration.cluster import BOUND, Cluster, Node
from tests.sim.linearizability import DONE, FAILED, NO_KEY, History, Operation, Outcome

KEYS = ("a", "b", "c")
JOURNAL = "journal"

PATIENCE = 5.0
"""Seconds after which a client gives an answer up; a node gives a request up earlier."""

PAUSE = 0.01
"""Seconds between two requests of a client, on average: the checker has to read it all."""

NO_CONDITIONS: Mapping[str, Any] = {}

RESPITE = 0.3
"""Seconds that a client waits after it had no answer."""

REFUSALS = (NO_KEY, FAILED)
"""What may be answered that is neither done nor unknown."""


class Load:
    """Clients, from :meth:`start` to :meth:`stop`.

    :ivar journal: key → ETag of what was acknowledged in it.
    """

    def __init__(self, cluster: Cluster, seed: str, clients: int = 6) -> None:
        self._history = History(time.monotonic)
        self._unsent: set[int] = set()
        self.journal: dict[str, str] = {}
        self._cluster = cluster
        self._bucket = ""
        self._etags: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._answered = threading.Condition()
        self._answers = 0
        self._ending = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._live, args=(f"client-{n}", random.Random(f"{seed} {n}")))
            for n in range(clients)
        ]

    def start(self, bucket: str) -> None:
        """Begin, in a bucket."""
        self._cluster.client().create_bucket(Bucket=JOURNAL)
        self.go_to(bucket)
        for thread in self._threads:
            thread.start()

    def go_to(self, bucket: str) -> None:
        """Have all further requests be for another bucket, a new one."""
        call = self._history.call("test", "create_bucket", bucket)
        self._cluster.client().create_bucket(Bucket=bucket)
        self._history.returned(call, DONE)
        with self._lock:
            self._bucket = bucket
            self._etags = {}

    def more(self, count: int) -> None:
        """Return when so many more requests have been answered.

        :raises AssertionError: they were not, within the bound.
        """
        with self._answered:
            wanted = self._answers + count
            enough = self._answered.wait_for(
                lambda: self._answers >= wanted or bool(self._errors), BOUND
            )
        self._raise()
        assert enough, "the cluster answers no more"

    def stop(self) -> None:
        """End it.

        :raises BaseException: what a client saw that it should not.
        """
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(BOUND)
        self._raise()

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]

    @property
    def operations(self) -> list[Operation]:
        """The history of the buckets, the journal left out."""
        made = self._history.operations
        return [each for number, each in enumerate(made) if number not in self._unsent]

    def read_all(self, node: Node, buckets: list[str]) -> None:
        """Read everything at a node, once more and for the history; and see that it has the
        journal."""
        for bucket in buckets:
            for key in KEYS:
                assert self.get("last", node, bucket, key), f"{node.node_id} does not answer"
            assert self.list("last", node, bucket), f"{node.node_id} does not answer"
        found = {
            entry["Key"]: entry["ETag"].strip('"')
            for page in self._at(node).get_paginator("list_objects_v2").paginate(Bucket=JOURNAL)
            for entry in page.get("Contents", [])
        }
        lost = {key: etag for key, etag in self.journal.items() if found.get(key) != etag}
        assert not lost, f"{node.node_id} has lost what was acknowledged: {lost}"

    def _at(self, node: Node) -> Any:
        with self._lock:
            if node.node_id not in self._clients:
                self._clients[node.node_id] = self._cluster.client(
                    node.node_id,
                    attempts=1,
                    connect_timeout=PATIENCE,
                    read_timeout=PATIENCE,
                    max_pool_connections=len(self._threads) + 1,
                )
            return self._clients[node.node_id]

    def _live(self, name: str, dice: random.Random) -> None:
        serial = 0
        try:
            while not self._ending.wait(dice.random() * 2 * PAUSE):
                nodes = [node for node in self._cluster if node.running]
                if not nodes:
                    continue
                serial += 1
                if self._act(name, serial, dice.choice(nodes), dice):
                    with self._answered:
                        self._answers += 1
                        self._answered.notify_all()
                else:
                    self._ending.wait(RESPITE)
        except BaseException as error:
            self._errors.append(error)
            with self._answered:
                self._answered.notify_all()

    def _act(self, name: str, serial: int, node: Node, dice: random.Random) -> bool:
        """Do something; whether it was answered."""
        with self._lock:
            bucket, etags = self._bucket, self._etags
        key = dice.choice(KEYS)
        body = f"{name} {serial} ".encode() * dice.choice((1, 10, 800))
        roll = dice.random()
        if roll < 0.30:
            return self.get(name, node, bucket, key)
        if roll < 0.40:
            return self.list(name, node, bucket)
        if roll < 0.50:
            return self.delete(name, node, bucket, key)
        if roll < 0.60:
            return self._write_down(self._at(node), f"{name}/{serial}", body)
        conditions: dict[str, Any] = {}
        if roll < 0.70:
            conditions = {"if_none_match": True}
        elif roll < 0.80 and key in etags:
            conditions = {"if_match": etags[key]}
        if self.put(name, node, bucket, key, body, conditions):
            etags[key] = etag_of(body)
            return True
        return False

    def get(self, name: str, node: Node, bucket: str, key: str) -> bool:
        """Ask a node, in the name of a client, and write it down; whether it was answered."""

        def ask() -> Outcome:
            answer = self._at(node).get_object(Bucket=bucket, Key=key)
            etag: str = answer["ETag"].strip('"')
            assert etag_of(answer["Body"].read()) == etag, "other bytes than were put"
            return etag

        return self._do(ask, name, "get", bucket, key=key)

    def list(self, name: str, node: Node, bucket: str) -> bool:
        """See :meth:`get`."""

        def ask() -> Outcome:
            answer = self._at(node).list_objects_v2(Bucket=bucket)
            found = answer.get("Contents", [])
            return tuple((entry["Key"], entry["ETag"].strip('"')) for entry in found)

        return self._do(ask, name, "list", bucket)

    def delete(self, name: str, node: Node, bucket: str, key: str) -> bool:
        """See :meth:`get`."""

        def ask() -> Outcome:
            self._at(node).delete_object(Bucket=bucket, Key=key)
            return DONE

        return self._do(ask, name, "delete", bucket, key=key)

    def put(
        self,
        name: str,
        node: Node,
        bucket: str,
        key: str,
        body: bytes,
        conditions: Mapping[str, Any] = NO_CONDITIONS,
    ) -> bool:
        """See :meth:`get`.

        :param conditions: ``if_match`` and ``if_none_match`` of an Operation.
        """
        headers = {}
        if conditions.get("if_none_match"):
            headers = {"IfNoneMatch": "*"}
        elif etag := conditions.get("if_match"):
            headers = {"IfMatch": f'"{etag}"'}

        def ask() -> Outcome:
            self._at(node).put_object(Bucket=bucket, Key=key, Body=body, **headers)
            return DONE

        return self._do(ask, name, "put", bucket, key=key, value=etag_of(body), **conditions)

    def _write_down(self, client: Any, key: str, body: bytes) -> bool:
        with suppress(_Unknown, EndpointConnectionError):
            _answer(lambda: client.put_object(Bucket=JOURNAL, Key=key, Body=body))
            self.journal[key] = etag_of(body)
            return True
        return False

    def _do(
        self, ask: Callable[[], Outcome], name: str, action: str, bucket: str, **what: Any
    ) -> bool:
        call = self._history.call(name, action, bucket, **what)
        try:
            self._history.returned(call, _answer(ask))
        except EndpointConnectionError:
            self._unsent.add(call)
            return False
        except _Unknown:
            return False
        return True


def etag_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class _Unknown(Exception):
    """It was done, or not, or will be."""


def _answer(ask: Callable[[], Any]) -> Any:
    """What was answered, or the code of a refusal.

    :raises _Unknown: a node gave up, or its client did.
    :raises EndpointConnectionError: nobody listens there, and nothing was sent.
    :raises ClientError: a refusal that nothing explains.
    """
    try:
        return ask()
    except ClientError as error:
        code: str = error.response["Error"]["Code"]
        if code in REFUSALS:
            return code
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            raise
        raise _Unknown from error
    except EndpointConnectionError:
        raise
    except (BotoCoreError, HTTPError) as error:
        raise _Unknown from error
