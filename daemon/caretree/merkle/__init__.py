"""RFC 6962 trees, tiles, and the C2SP text formats over them. PURE. Imports model.

Start reading at `frontier` (how a tree grows), then `proof` (which nodes prove what) and `verify`
(what a stranger checks). `tiles` and `nodes` say where nodes are kept. `note`, `checkpoint`,
`cosignature`, `tlog_proof` and `policy` are the signed texts around a root; `certificate` gathers
their signature lines. Signatures are made and checked by functions that the caller hands in: this
room holds no key.
"""
