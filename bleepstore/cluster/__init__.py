"""A node of a cluster: the driver of the Raft core, its log on disk, its peers.

Knows consensus and no metadata: what is agreed on are opaque commands.
"""
