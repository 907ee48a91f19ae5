"""The embedded index: Tantivy in a folder."""

from search.tantivy_index.index import TantivyIndex, open_tantivy
from search.tantivy_index.life import TantivyLife, swap

__all__ = ["TantivyIndex", "TantivyLife", "open_tantivy", "swap"]
