"""HTTP beside the gRPC ports: metrics, health, and the log as C2SP tlog-tiles.

Start in `server`; `pages` answers, `published` says what it asks of a peer. Imports node and below,
and is itself imported only where the configuration names `listen.http`: aiohttp costs memory.
"""
