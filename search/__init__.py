"""Finding images: documents, queries and the indexes that answer them."""
