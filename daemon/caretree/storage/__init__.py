"""Everything that is kept: ports, key layout, the door to LevelDB, the watermark, files of secrets.

Imports the cores and model. Start reading at `ports`, then `leveldb` and `watermark`; `memory` is
the same port in memory, with the faults of a disk on demand.
"""
