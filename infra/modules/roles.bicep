// All role assignments, and the built-in roles that they are of. An empty name of a resource: no role on it.
param principalId string

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

@description('Storage account of the Functions host.')
param hostName string = ''

@description('Storage account of the photos.')
param photosName string = ''
param photosContainer string = ''

@description('AI Vision is given signed links, or the gallery shows thumbnails by them.')
param signsLinks bool = false

param visionName string = ''
param cosmosName string = ''
param searchName string = ''

@description('Creates and rebuilds the index.')
param createsIndex bool = false

@description('Application Insights that logs, spans and figures are sent to.')
param insightsName string = ''

@description('Storage account of the Logic App.')
param workflowsName string = ''

// Lists and reads the photos. Given on their container alone.
var storageBlobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
// Signs links to what the identity may read itself. Can be given on an account only.
var storageBlobDelegator = 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'
// The host's own: its locks, the timers' state, the keys of functions, the package of the app. What Functions asks for.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
// `sweep-continue` and its poison queue: the app puts messages there, the host reads them. The role makes missing queues as well.
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
// The Logic App's runtime keeps its runs in tables. The function app needs none: tables would keep the host's diagnostic events only.
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
// What the documentation of Logic Apps asks for beside the data roles. The keys that it could list are turned off.
var storageAccountContributor = '17d1049b-9a84-46fb-8f53-869881c3d3ab'
// Calls AI Vision; may not see or renew keys, nor change the resource.
var cognitiveServicesUser = 'a97b65f3-24c7-4388-baec-2e87135dc908'
// Writes and reads documents of indexes; may not make or delete an index.
var searchIndexDataContributor = '8ebe5a00-799e-43f5-93ac-243d3dce84a7'
// Makes indexes and aliases: `imagesweep index create` and `index rebuild`. For the operator, not for the app.
var searchServiceContributor = '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
// Sends telemetry; reads none.
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
// Cosmos DB's own data plane: reads and writes items; may not make databases and containers.
var cosmosBuiltInDataContributor = '00000000-0000-0000-0000-000000000002'

resource host 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: empty(hostName) ? 'none' : hostName
}

resource photos 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: empty(photosName) ? 'none' : photosName
}

resource photosBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: photos
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: photosBlobs
  name: empty(photosContainer) ? 'none' : photosContainer
}

resource vision 'Microsoft.CognitiveServices/accounts@2024-10-01' existing = {
  name: empty(visionName) ? 'none' : visionName
}

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2024-05-15' existing = {
  name: empty(cosmosName) ? 'none' : cosmosName
}

resource search 'Microsoft.Search/searchServices@2023-11-01' existing = {
  name: empty(searchName) ? 'none' : searchName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: empty(insightsName) ? 'none' : insightsName
}

resource workflows 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: empty(workflowsName) ? 'none' : workflowsName
}

resource ownsHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(hostName)) {
  name: guid(host.id, principalId, storageBlobDataOwner)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: principalId
    principalType: principalType
  }
}

resource usesHostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(hostName)) {
  name: guid(host.id, principalId, storageQueueDataContributor)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
    principalId: principalId
    principalType: principalType
  }
}

resource readsPhotos 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(photosName)) {
  name: guid(container.id, principalId, storageBlobDataReader)
  scope: container
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
    principalId: principalId
    principalType: principalType
  }
}

resource signsPhotos 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(photosName) && signsLinks) {
  name: guid(photos.id, principalId, storageBlobDelegator)
  scope: photos
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDelegator)
    principalId: principalId
    principalType: principalType
  }
}

resource callsVision 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(visionName)) {
  name: guid(vision.id, principalId, cognitiveServicesUser)
  scope: vision
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', cognitiveServicesUser)
    principalId: principalId
    principalType: principalType
  }
}

resource usesItems 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-05-15' = if (!empty(cosmosName)) {
  parent: cosmos
  name: guid(cosmos.id, principalId, cosmosBuiltInDataContributor)
  properties: {
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${cosmosBuiltInDataContributor}'
    principalId: principalId
    scope: cosmos.id
  }
}

resource usesDocuments 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(searchName)) {
  name: guid(search.id, principalId, searchIndexDataContributor)
  scope: search
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', searchIndexDataContributor)
    principalId: principalId
    principalType: principalType
  }
}

resource makesIndexes 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(searchName) && createsIndex) {
  name: guid(search.id, principalId, searchServiceContributor)
  scope: search
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', searchServiceContributor)
    principalId: principalId
    principalType: principalType
  }
}

resource sendsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(insightsName)) {
  name: guid(insights.id, principalId, monitoringMetricsPublisher)
  scope: insights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    principalId: principalId
    principalType: principalType
  }
}

var ofWorkflows = [storageAccountContributor, storageBlobDataOwner, storageQueueDataContributor, storageTableDataContributor]

resource runsWorkflows 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in ofWorkflows: if (!empty(workflowsName)) {
  name: guid(workflows.id, principalId, role)
  scope: workflows
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: principalId
    principalType: principalType
  }
}]
