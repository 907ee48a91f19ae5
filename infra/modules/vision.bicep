// Azure AI Vision. A token is taken only at a domain of the resource's own.
param name string
param location string
param tags object
param isPrivate bool

@allowed(['F0', 'S1'])
@description('F0 is free: 20 calls a minute, 5,000 a month, one in a subscription.')
param sku string = 'S1'

resource vision 'Microsoft.CognitiveServices/accounts@2024-10-01' = {
  name: name
  location: location
  tags: tags
  kind: 'ComputerVision'
  sku: { name: sku }
  // Policies ask for an identity; it has no role.
  identity: { type: 'SystemAssigned' }
  properties: {
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: { defaultAction: isPrivate ? 'Deny' : 'Allow' }
  }
}

output id string = vision.id
output name string = vision.name
output url string = 'https://${name}.cognitiveservices.azure.com'
