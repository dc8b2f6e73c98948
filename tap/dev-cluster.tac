"""A cluster of three nodes in one process, for trying it out: ``twistd -ny tap/dev-cluster.tac``.

Its nodes are those of tap/cluster/node-1.yaml to node-3.yaml, below ``./data``: the same cluster
may be started as three processes another time.  In one process it survives nothing that a single
node does not; what it shows is how a cluster answers.
"""

from pathlib import Path

from twisted.application.service import Application

from bleepstore.tap import Options, makeService

NODES = Path(__file__).resolve().parent / "cluster"

application = Application("bleepstore-cluster")
for configuration in sorted(NODES.glob("node-*.yaml")):
    options = Options()
    options.parseOptions(["--config", str(configuration)])
    node = makeService(options)
    node.setName(configuration.stem)
    node.setServiceParent(application)
