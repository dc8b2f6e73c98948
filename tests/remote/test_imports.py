"""What a node without a gateway does not load."""

from __future__ import annotations

import subprocess
import sys


def test_a_node_that_keeps_its_own_data_does_not_load_the_client() -> None:
    script = (
        "import sys, bleepstore.node.stores, bleepstore.node.tree, bleepstore.tap\n"
        "print([name for name in sys.modules if name.startswith(('treq', 'bleepstore.remote'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
