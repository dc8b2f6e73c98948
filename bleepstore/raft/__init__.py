"""Raft, sans-I/O: ticks, messages and proposals in; effects out, in the order they depend on.

Knows no clock, dice, socket, file, database or S3.  Sources: D. Ongaro, "Consensus: Bridging
Theory and Practice" (the thesis), and D. Ongaro and J. Ousterhout, "In Search of an
Understandable Consensus Algorithm (Extended Version)" (the paper).
"""
