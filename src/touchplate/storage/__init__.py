"""Where bytes rest: immutable objects, and the database of a growing log.

- `objects`, `folder`: the object store, in memory and in a folder
- `database`, `memory`, `sqlite`: the database of one log, in memory and in an SQLite file
- `schemes`: which of them a URI names

What never changes rests in objects; what changes rests in the database. Failures of what is below
leave this room as UnavailableError STORAGE_UNAVAILABLE.
"""
