"""What can be seen of a running node: its log, its metrics, its health.

Knows no HTTP and no store; the front and the node tell it plain values.
"""
