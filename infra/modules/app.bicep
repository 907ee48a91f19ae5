// The function app, on Flex Consumption. Everything by its user-assigned identity; no key and no connection string in its settings.
param name string
param location string
param tags object
param identityId string
param identityClientId string
param hostName string
param hostBlobUrl string
param insightsConnection string
param instanceMemoryMB int
param maximumInstanceCount int

@description('Subnet for what the app sends. Empty: no private networking, and anybody with a key may call.')
param subnetId string
param workflowsSubnetId string
param allowedAddresses string
param authClientId string
param source string
param classifier string
param store string
param index string
param visionFeatures string
param visionSend string
param sweepCalls int
param sweepSchedule string
param auditSchedule string
param extraSettings array

var signedIn = !empty(authClientId)
var isPrivate = !empty(subnetId)
var domain = 'azurewebsites.net'

// The host and jobs/adapters/azure_queue.py read the same three settings of AzureWebJobsStorage; the other adapters go by AZURE_CLIENT_ID.
var settings = [
  { name: 'AzureWebJobsStorage__accountName', value: hostName }
  { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
  { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
  { name: 'AZURE_CLIENT_ID', value: identityClientId }
  { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnection }
  { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
  { name: 'PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY', value: 'true' }
  { name: 'SWEEP_SCHEDULE', value: sweepSchedule }
  { name: 'AUDIT_SCHEDULE', value: auditSchedule }
  { name: 'IMAGESWEEP_SOURCE', value: source }
  { name: 'IMAGESWEEP_CLASSIFIER', value: classifier }
  { name: 'IMAGESWEEP_STORE', value: store }
  { name: 'IMAGESWEEP_INDEX', value: index }
  { name: 'IMAGESWEEP_VISION_FEATURES', value: visionFeatures }
  { name: 'IMAGESWEEP_VISION_SEND', value: visionSend }
  { name: 'IMAGESWEEP_HTTP_AUTH', value: signedIn ? 'entra' : 'key' }
]
var budget = sweepCalls == 0 ? [] : [{ name: 'IMAGESWEEP_SWEEP_CALLS', value: string(sweepCalls) }]

// With private networking: Event Grid, the Logic App and named addresses may call, nobody else. Deployment goes to the other site (scm),
// which lets in who has the right in Azure.
var eventGrid = {
  name: 'event-grid'
  priority: 100
  action: 'Allow'
  tag: 'ServiceTag'
  ipAddress: 'AzureEventGrid'
}
var ofWorkflows = {
  name: 'workflows'
  priority: 110
  action: 'Allow'
  vnetSubnetResourceId: workflowsSubnetId
}
var named = {
  name: 'named'
  priority: 120
  action: 'Allow'
  ipAddress: allowedAddresses
}
var callers = empty(allowedAddresses) ? [eventGrid, ofWorkflows] : [eventGrid, ofWorkflows, named]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  // checkov:skip=CKV_AZURE_78: Flex Consumption has no FTP, and no setting for it
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: isPrivate ? subnetId : null
    clientCertEnabled: false
    siteConfig: {
      appSettings: concat(settings, budget, extraSettings)
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      remoteDebuggingEnabled: false
      ipSecurityRestrictionsDefaultAction: isPrivate ? 'Deny' : 'Allow'
      ipSecurityRestrictions: isPrivate ? callers : []
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostBlobUrl}app-package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
  }
}

resource noPasswordsFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noPasswordsScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

module auth 'auth.bicep' = if (signedIn) {
  name: 'auth'
  params: {
    appName: app.name
    clientId: authClientId
  }
}

output id string = app.id
output name string = app.name
output url string = 'https://${name}.${domain}'
output source string = source
output classifier string = classifier
output store string = store
output index string = index
