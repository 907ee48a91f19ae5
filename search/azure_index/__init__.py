"""The index in Azure AI Search."""

from search.azure_index.index import AzureSearchIndex, open_azure_search
from search.azure_index.life import create_azure_search, fresh_azure_search
from search.azure_index.place import Place

__all__ = ["AzureSearchIndex", "Place", "create_azure_search", "fresh_azure_search", "open_azure_search"]
