// A Logic App (Standard) for the workflows in logicapp/, with a storage account of its own, to be had by identity.
// No file share is named: one needs the account's key. infra/hooks/postdeploy.sh brings the workflows.
param token string
param location string
param tags object
param storageName string
param insightsName string
param insightsConnection string

@description('Subnet for what the Logic App sends. Empty: no private networking.')
param subnetId string
param functionAppUrl string
param functionAppAudience string

@secure()
param alertUrl string

var suffix = environment().suffixes.storage
var identityName = 'id-workflows-${token}'
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)

// For its storage the runtime takes a user-assigned identity only; the workflows sign in as the Logic App itself.
module identity 'identity.bicep' = {
  name: 'workflows-identity'
  params: {
    name: identityName
    location: location
    tags: tags
  }
}

module roles 'roles.bicep' = {
  name: 'workflows-roles'
  params: {
    principalId: identity.outputs.principalId
    principalType: 'ServicePrincipal'
    workflowsName: storageName
    insightsName: insightsName
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-workflows-${token}'
  location: location
  tags: tags
  kind: 'elastic'
  sku: {
    name: 'WS1'
    tier: 'WorkflowStandard'
  }
  properties: { maximumElasticWorkerCount: 1 }
}

resource workflows 'Microsoft.Web/sites@2024-04-01' = {
  name: 'workflows-${token}'
  location: location
  tags: tags
  kind: 'functionapp,workflowapp'
  dependsOn: [roles]
  // checkov:skip=CKV_AZURE_16: it has both kinds of identity; the check knows one
  identity: {
    type: 'SystemAssigned, UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      appSettings: [
        { name: 'APP_KIND', value: 'workflowApp' }
        { name: 'FUNCTIONS_EXTENSION_VERSION', value: '~4' }
        { name: 'FUNCTIONS_WORKER_RUNTIME', value: 'dotnet' }
        { name: 'AzureFunctionsJobHost__extensionBundle__id', value: 'Microsoft.Azure.Functions.ExtensionBundle.Workflows' }
        { name: 'AzureFunctionsJobHost__extensionBundle__version', value: '[1.*, 2.0.0)' }
        { name: 'AzureWebJobsStorage__credential', value: 'managedIdentity' }
        { name: 'AzureWebJobsStorage__managedIdentityResourceId', value: identity.outputs.id }
        { name: 'AzureWebJobsStorage__blobServiceUri', value: 'https://${storageName}.blob.${suffix}' }
        { name: 'AzureWebJobsStorage__queueServiceUri', value: 'https://${storageName}.queue.${suffix}' }
        { name: 'AzureWebJobsStorage__tableServiceUri', value: 'https://${storageName}.table.${suffix}' }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnection }
        { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identity.outputs.clientId};Authorization=AAD' }
        { name: 'FUNCTION_APP_URL', value: functionAppUrl }
        { name: 'FUNCTION_APP_AUDIENCE', value: functionAppAudience }
        { name: 'ALERT_URL', value: alertUrl }
      ]
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      use32BitWorkerProcess: false
    }
  }
}

resource noPasswordsFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: workflows
  name: 'ftp'
  properties: { allow: false }
}

resource noPasswordsScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: workflows
  name: 'scm'
  properties: { allow: false }
}
