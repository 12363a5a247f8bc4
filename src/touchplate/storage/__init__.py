"""Where bytes rest: immutable objects, and the database of a growing log.

- `objects`, `folder`, `s3`: the object store, in memory, in a folder and in a bucket
- `database`, `memory`, `sqlite`, `postgres`: the database of one log, in memory, in an SQLite file
  (with `identities` and `runs`) and in PostgreSQL (with `connections` and `migrations`)
- `index` and `index_…`: the database of the search index, likewise
- `schemes`: which of them a URI names

What never changes rests in objects; what changes rests in the database. Failures of what is below
leave this room as UnavailableError STORAGE_UNAVAILABLE.
"""
