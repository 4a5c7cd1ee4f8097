"""A third derivation of the states, written from docs/CONTRACT.md, docs/ORDER.md
and docs/lifecycles.md alone. It shares no code and no library with rampstream.
"""
