"""The engine under both logs: sequence, integrate, publish (C2SP tlog-tiles, RFC 6962).

An entry that was answered for is durable, integrated and covered by a signed checkpoint. The same
entry again gets the same index. A crash at any point loses nothing that was answered.

- `log`: `TileLog`, the log itself: group commit by one thread, reading from any
- `entry`, `settings`: what goes in and what comes out
- `batch`: one batch through one transaction: sequence -> integrate -> checkpoint
- `seal`: full bundles and tiles, from the database to the object store
- `tiles`: reading: tiles, entries, proofs
- `publish`: checkpoints that are cosigned before anybody is told of them
- `bulk`: many entries that are known already, straight into objects
- `cache`: sealed bundles that were read last
- `check`: read it all again and prove it, up to the first fault
- `audit`: the same in parts, for several processes, with every fault
- `bundle`: the entry bundle of C2SP tlog-tiles
- `eventloop`: waiting for entries in an asyncio loop
"""
