"""The verifying client library (asyncio)."""
