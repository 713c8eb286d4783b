"""RFC 6962 trees, tiles, and the C2SP text formats over them. PURE. Imports model."""
