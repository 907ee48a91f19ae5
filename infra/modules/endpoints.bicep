// Private endpoints of all services, and the zones by which their usual names lead there.
param token string
param location string
param tags object
param networkName string
param subnetId string
param hostId string
param photosId string
param visionId string
param cosmosId string
param searchId string

@description('Storage account of the Logic App. Empty: there is none.')
param workflowsId string

var suffix = environment().suffixes.storage
var blobZone = 'privatelink.blob.${suffix}'
var queueZone = 'privatelink.queue.${suffix}'
var tableZone = 'privatelink.table.${suffix}'
var visionZone = 'privatelink.cognitiveservices.azure.com'
var cosmosZone = 'privatelink.documents.azure.com'
var searchZone = 'privatelink.search.windows.net'
var zoneNames = [blobZone, queueZone, tableZone, visionZone, cosmosZone, searchZone]

var always = [
  { name: 'host-blob', id: hostId, part: 'blob', zone: blobZone }
  { name: 'host-queue', id: hostId, part: 'queue', zone: queueZone }
  { name: 'photos-blob', id: photosId, part: 'blob', zone: blobZone }
  { name: 'vision', id: visionId, part: 'account', zone: visionZone }
  { name: 'cosmos', id: cosmosId, part: 'Sql', zone: cosmosZone }
  { name: 'search', id: searchId, part: 'searchService', zone: searchZone }
]
var ofWorkflows = [
  { name: 'workflows-blob', id: workflowsId, part: 'blob', zone: blobZone }
  { name: 'workflows-queue', id: workflowsId, part: 'queue', zone: queueZone }
  { name: 'workflows-table', id: workflowsId, part: 'table', zone: tableZone }
]
var all = empty(workflowsId) ? always : concat(always, ofWorkflows)

resource network 'Microsoft.Network/virtualNetworks@2023-11-01' existing = {
  name: networkName
}

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [for zone in zoneNames: {
  name: zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (zone, number) in zoneNames: {
  parent: zones[number]
  name: 'imagesweep'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: network.id }
  }
}]

resource endpoints 'Microsoft.Network/privateEndpoints@2023-11-01' = [for one in all: {
  name: 'pe-${one.name}-${token}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: one.name
        properties: {
          privateLinkServiceId: one.id
          groupIds: [one.part]
        }
      }
    ]
  }
}]

resource groups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-11-01' = [for (one, number) in all: {
  parent: endpoints[number]
  name: 'default'
  dependsOn: [links]
  properties: {
    privateDnsZoneConfigs: [
      {
        name: one.part
        properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', one.zone) }
      }
    ]
  }
}]
