"""The embedded index: Tantivy in a folder."""

from search.tantivy_index.files import swap
from search.tantivy_index.index import TantivyIndex, open_tantivy

__all__ = ["TantivyIndex", "open_tantivy", "swap"]
