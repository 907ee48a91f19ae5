// imagesweep in Azure: one resource group with all that a sweep needs, and the roles between the parts. docs/deploy.md says what is made.
targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of the azd environment; names of resources are made of it.')
param environmentName string

@minLength(1)
@description('Region of all resources. Captions exist in some regions only: docs/azure.md.')
param location string

@description('Object id of who deploys and operates: creates the index, checks, searches. Empty: nobody gets these roles.')
param principalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
@description('What the operator is.')
param principalType string = 'User'

@description('Name of a storage account that has the photos already. Empty: one is made.')
param photosAccountName string = ''

@description('Resource group of that account. Needed where photosAccountName is given.')
param photosResourceGroup string = ''

@description('Event Grid system topic that this account has already; an account can have only one. Empty: one is made.')
param photosTopicName string = ''

@description('Container of the photos.')
param photosContainer string = 'photos'

@description('Only what begins so is swept. Empty: the whole container.')
param photosPrefix string = ''

@description('Features that AI Vision is asked for, each paid.')
param visionFeatures string = 'tags,caption'

@allowed(['bytes', 'url'])
@description('Send AI Vision the bytes, or a signed link. A link needs one role more, and does not work with private networking.')
param visionSend string = 'bytes'

@description('Budget of classifier calls for one sweep by the function app. 0: no bound.')
@minValue(0)
param sweepCalls int = 0

@description('When a sweep begins: {second} {minute} {hour} {day} {month} {day of week}, in UTC.')
param sweepSchedule string = '0 0 1 * * *'

@description('When an audit begins, in the same form.')
param auditSchedule string = '0 0 4 * * 0'

@description('Other settings of the app, as in docs/operations.md: a list of { name, value }.')
param extraSettings array = []

@allowed([512, 2048, 4096])
@description('Memory of an instance of the function app, in MB.')
param instanceMemoryMB int = 2048

@minValue(1)
@maxValue(1000)
@description('Most instances of the function app. A sweep needs one; bursts of events may use more.')
param maximumInstanceCount int = 40

@description('Name of the Cosmos DB account: one that was restored from a backup. Empty: the usual name.')
param cosmosAccountName string = ''

@description('Ceiling in RU/s of an autoscaled database, from 1000 on. 0: serverless. Cannot be changed later: it is another account.')
@minValue(0)
param cosmosMaxRu int = 0

@allowed(['basic', 'standard', 'standard2', 'standard3'])
@description('Tier of AI Search.')
param searchSku string = 'basic'

@minValue(1)
@maxValue(3)
@description('Replicas of AI Search: two for the service level agreement of queries, three for that of writes too.')
param searchReplicas int = 1

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
@description('Redundancy of the photos, where their account is made here.')
param photosSku string = 'Standard_ZRS'

@description('Keep all services off the public network: a virtual network, private endpoints, private DNS zones.')
param privateNetworking bool = false

@description('Range of addresses, as in 203.0.113.0/24, that may call the HTTP functions with private networking. Empty: none.')
param allowedAddresses string = ''

@description('Client id of an app registration: who calls the HTTP functions signs in by it. Empty: they are called with their key.')
param authClientId string = ''

@description('Make a Logic App (Standard) for the workflows in logicapp/. Needs authClientId.')
param logicApp bool = false

@description('Address of a webhook that the Logic App posts its alerts to.')
@secure()
param alertUrl string = ''

@description('Address that alerts are mailed to. Empty: alerts are seen in the portal only.')
param alertEmail string = ''

@minValue(0)
@description('Dead letters in a day from which there is an alert.')
param mostDeadLetters int = 10

@minValue(24)
@maxValue(47)
@description('Lag in hours from which there is an alert. The slices of a nightly sweep tell a lag of a day and some minutes until its last one.')
param mostLagHours int = 26

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var makesPhotos = empty(photosAccountName)
var photosName = makesPhotos ? 'photos${token}' : photosAccountName
var photosGroup = makesPhotos ? 'rg-${environmentName}' : photosResourceGroup
var topicName = empty(photosTopicName) ? 'topic-${token}' : photosTopicName
var photosPath = empty(photosPrefix) ? photosContainer : '${photosContainer}/${photosPrefix}'
var database = 'imagesweep'
var index = 'images'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-${token}'
    location: location
    tags: tags
  }
}

module monitor 'modules/monitor.bicep' = {
  name: 'monitor'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    insightsId: monitor.outputs.insightsId
    email: alertEmail
    mostDeadLetters: mostDeadLetters
    mostLagHours: mostLagHours
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
  }
}

module host 'modules/storage.bicep' = {
  name: 'host'
  scope: group
  params: {
    name: 'host${token}'
    location: location
    tags: tags
    sku: 'Standard_LRS'
    containers: ['app-package']
    isPrivate: privateNetworking
  }
}

module photos 'modules/storage.bicep' = if (makesPhotos) {
  name: 'photos'
  scope: group
  params: {
    name: photosName
    location: location
    tags: tags
    sku: photosSku
    containers: [photosContainer]
    isPrivate: privateNetworking
  }
}

module topic 'modules/topic.bicep' = if (empty(photosTopicName)) {
  name: 'topic-${token}'
  scope: resourceGroup(photosGroup)
  dependsOn: [group, photos]
  params: {
    name: topicName
    tags: tags
    accountName: photosName
  }
}

module vision 'modules/vision.bicep' = {
  name: 'vision'
  scope: group
  params: {
    name: 'vision-${token}'
    location: location
    tags: tags
    isPrivate: privateNetworking
  }
}

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  scope: group
  params: {
    name: empty(cosmosAccountName) ? 'cosmos-${token}' : cosmosAccountName
    location: location
    tags: tags
    database: database
    maxRu: cosmosMaxRu
    isPrivate: privateNetworking
  }
}

module search 'modules/search.bicep' = {
  name: 'search'
  scope: group
  params: {
    name: 'search-${token}'
    location: location
    tags: tags
    sku: searchSku
    replicas: searchReplicas
    isPrivate: privateNetworking
  }
}

module endpoints 'modules/endpoints.bicep' = if (privateNetworking) {
  name: 'endpoints'
  scope: group
  dependsOn: [photos]
  params: {
    token: token
    location: location
    tags: tags
    networkName: 'vnet-${token}'
    subnetId: privateNetworking ? network.outputs.endpointsSubnetId : ''
    hostId: host.outputs.id
    photosId: resourceId(subscription().subscriptionId, photosGroup, 'Microsoft.Storage/storageAccounts', photosName)
    visionId: vision.outputs.id
    cosmosId: cosmos.outputs.id
    searchId: search.outputs.id
    workflowsId: logicApp ? workflowsStorage.outputs.id : ''
  }
}

module appRoles 'modules/roles.bicep' = {
  name: 'app-roles'
  scope: group
  params: {
    principalId: identity.outputs.principalId
    principalType: 'ServicePrincipal'
    hostName: host.outputs.name
    visionName: vision.outputs.name
    cosmosName: cosmos.outputs.name
    searchName: search.outputs.name
    insightsName: monitor.outputs.insightsName
  }
}

module appPhotosRoles 'modules/roles.bicep' = {
  name: 'app-photos-roles-${token}'
  scope: resourceGroup(photosGroup)
  dependsOn: [group, photos]
  params: {
    principalId: identity.outputs.principalId
    principalType: 'ServicePrincipal'
    photosName: photosName
    photosContainer: photosContainer
    signsLinks: visionSend == 'url'
  }
}

// The operator: the rights of the app on the data, and to create the index. None on the host's storage.
module operatorRoles 'modules/roles.bicep' = if (!empty(principalId)) {
  name: 'operator-roles'
  scope: group
  params: {
    principalId: principalId
    principalType: principalType
    visionName: vision.outputs.name
    cosmosName: cosmos.outputs.name
    searchName: search.outputs.name
    createsIndex: true
  }
}

module operatorPhotosRoles 'modules/roles.bicep' = if (!empty(principalId)) {
  name: 'operator-photos-roles-${token}'
  scope: resourceGroup(photosGroup)
  dependsOn: [group, photos]
  params: {
    principalId: principalId
    principalType: principalType
    photosName: photosName
    photosContainer: photosContainer
    signsLinks: visionSend == 'url'
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  dependsOn: [appRoles, appPhotosRoles, endpoints]
  params: {
    name: 'app-${token}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostName: host.outputs.name
    hostBlobUrl: host.outputs.blobUrl
    insightsConnection: monitor.outputs.insightsConnection
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    subnetId: privateNetworking ? network.outputs.appSubnetId : ''
    workflowsSubnetId: privateNetworking ? network.outputs.workflowsSubnetId : ''
    allowedAddresses: allowedAddresses
    authClientId: authClientId
    source: 'azure-blob:https://${photosName}.blob.${environment().suffixes.storage}/${photosPath}'
    classifier: 'azure-vision:${vision.outputs.url}'
    store: 'cosmos:${cosmos.outputs.url}/${database}'
    index: 'azure-search:${search.outputs.url}/${index}'
    visionFeatures: visionFeatures
    visionSend: visionSend
    sweepCalls: sweepCalls
    sweepSchedule: sweepSchedule
    auditSchedule: auditSchedule
    extraSettings: extraSettings
  }
}

module workflowsStorage 'modules/storage.bicep' = if (logicApp) {
  name: 'workflows-storage'
  scope: group
  params: {
    name: 'flows${token}'
    location: location
    tags: tags
    sku: 'Standard_LRS'
    containers: []
    isPrivate: privateNetworking
  }
}

module workflows 'modules/workflows.bicep' = if (logicApp) {
  name: 'workflows'
  scope: group
  dependsOn: [endpoints]
  params: {
    storageName: logicApp ? workflowsStorage.outputs.name : ''
    token: token
    location: location
    tags: tags
    insightsName: monitor.outputs.insightsName
    insightsConnection: monitor.outputs.insightsConnection
    subnetId: privateNetworking ? network.outputs.workflowsSubnetId : ''
    functionAppUrl: 'https://app-${token}.azurewebsites.net'
    functionAppAudience: 'api://${authClientId}'
    alertUrl: alertUrl
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output SERVICE_APP_NAME string = app.outputs.name
output SERVICE_APP_URL string = app.outputs.url
output SERVICE_APP_ID string = app.outputs.id
output LOGIC_APP_NAME string = logicApp ? 'workflows-${token}' : ''
output PHOTOS_RESOURCE_GROUP string = photosGroup
output PHOTOS_ACCOUNT string = photosName
output PHOTOS_CONTAINER string = photosContainer
output PHOTOS_PREFIX string = photosPrefix
output PHOTOS_TOPIC string = topicName
output PRIVATE_NETWORKING bool = privateNetworking
// What the command line on the operator's machine goes by, under the names that it reads.
output IMAGESWEEP_SOURCE string = app.outputs.source
output IMAGESWEEP_CLASSIFIER string = app.outputs.classifier
output IMAGESWEEP_STORE string = app.outputs.store
output IMAGESWEEP_INDEX string = app.outputs.index
output IMAGESWEEP_VISION_FEATURES string = visionFeatures
output IMAGESWEEP_VISION_SEND string = visionSend
