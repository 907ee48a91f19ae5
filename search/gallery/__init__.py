"""The gallery: pages and the search API over an index and a store, as an ASGI application."""

from search.gallery.app import gallery
from search.gallery.parts import Parts, Unavailable

__all__ = ["Parts", "Unavailable", "gallery"]
