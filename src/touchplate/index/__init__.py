"""Search over the transparency log, from the log alone: it can be made again at any time.

The index says which entries may match; every answer is read from the log and held against the
query, so a wrong index can hide an entry and never invent one. What is indexed leads to a signed
checkpoint, and how far that is from the newest one is part of each answer.

- `index`: `Index`, the role: it follows the log, answers, and is made again
- `follow`: entries -> leaves -> root, consistent with the checkpoint -> postings
- `query`, `cursor`: what is asked for, and where the next page begins
- `candidates`, `search`: postings -> entries -> rows -> proofs
- `texts`: what stands for a term in the database
- `answer`, `routes`: HTTP
"""

from touchplate.index.index import Index, Progress
from touchplate.index.query import Query
from touchplate.index.search import Page, Row, Tree
from touchplate.index.settings import IndexSettings

__all__ = ["Index", "IndexSettings", "Page", "Progress", "Query", "Row", "Tree"]
