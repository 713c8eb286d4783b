"""A sans-IO Raft core in the shape of etcd-io/raft: tick, step, propose in; one Ready out.

PURE. May import: model. Start reading at `rawnode`, then `ready`, `step` and `core`.
"""
