// The virtual network: a subnet for private endpoints, and one each for what the function app and the Logic App send.
param token string
param location string
param tags object

@description('Range of addresses of the network, and those of its subnets.')
param addresses string = '10.61.0.0/24'
param endpointsAddresses string = '10.61.0.0/26'
param appAddresses string = '10.61.0.64/26'
param workflowsAddresses string = '10.61.0.128/26'

// No rules of its own: the default ones let in what comes from the network itself, and nothing from the internet.
resource guard 'Microsoft.Network/networkSecurityGroups@2023-11-01' = {
  name: 'nsg-${token}'
  location: location
  tags: tags
  properties: { securityRules: [] }
}

resource network 'Microsoft.Network/virtualNetworks@2023-11-01' = {
  name: 'vnet-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addresses] }
    subnets: [
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointsAddresses
          networkSecurityGroup: { id: guard.id }
        }
      }
      {
        name: 'app'
        properties: {
          addressPrefix: appAddresses
          networkSecurityGroup: { id: guard.id }
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'workflows'
        properties: {
          addressPrefix: workflowsAddresses
          networkSecurityGroup: { id: guard.id }
          // The function app lets this subnet in by it.
          serviceEndpoints: [{ service: 'Microsoft.Web' }]
          delegations: [
            {
              name: 'plan'
              properties: { serviceName: 'Microsoft.Web/serverFarms' }
            }
          ]
        }
      }
    ]
  }
}

output endpointsSubnetId string = '${network.id}/subnets/endpoints'
output appSubnetId string = '${network.id}/subnets/app'
output workflowsSubnetId string = '${network.id}/subnets/workflows'
