"""The client port: who calls, may they, is the request whole; then the peer decides.

A thin edge over gRPC (asyncio). May import node, telemetry, config and what is below them. Start
reading at `server`, which puts the parts together, then `interceptor`, through which every call
goes; `guard` and `permissions` admit it, `validation` turns its request into a command, the
services hand the command to the peer (`ports`), and `errors` turns every refusal into a status.
"""
