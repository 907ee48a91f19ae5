// Azure AI Search. `imagesweep index create` makes index and alias in it.
param name string
param location string
param tags object
param sku string
param replicas int
param isPrivate bool

resource search 'Microsoft.Search/searchServices@2023-11-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku }
  // Policies ask for an identity; it has no role.
  identity: { type: 'SystemAssigned' }
  properties: {
    replicaCount: replicas
    partitionCount: 1
    hostingMode: 'default'
    disableLocalAuth: true
    publicNetworkAccess: isPrivate ? 'disabled' : 'enabled'
  }
}

output id string = search.id
output name string = search.name
output url string = 'https://${name}.search.windows.net'
