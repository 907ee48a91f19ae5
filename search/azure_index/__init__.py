"""The index in Azure AI Search."""

from search.azure_index.index import AzureSearchIndex, open_azure_search
from search.azure_index.life import AzureLife, create_azure_search, open_azure_life
from search.azure_index.place import Place

__all__ = ["AzureLife", "AzureSearchIndex", "Place", "create_azure_search", "open_azure_life", "open_azure_search"]
