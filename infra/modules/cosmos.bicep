// Azure Cosmos DB for NoSQL: account, database and containers. An identity may not create containers by the data plane, so they are
// made here, as jobs/adapters/cosmos_containers.py has them: tests/unit/test_infra.py compares the two. Partition keys are permanent.
param name string
param location string
param tags object
param database string
param isPrivate bool

@description('Ceiling in RU/s that the containers share, autoscaled. 0: serverless.')
param maxRu int

var throughput = maxRu == 0 ? {} : { autoscaleSettings: { maxThroughput: maxRu } }

resource account 'Microsoft.DocumentDB/databaseAccounts@2024-05-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: maxRu == 0 ? [{ name: 'EnableServerless' }] : []
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    locations: [
      {
        locationName: location
        failoverPriority: 0
      }
    ]
    // Conditional writes in two regions would both succeed.
    enableMultipleWriteLocations: false
    disableLocalAuth: true
    // Keys, and identities without the right to manage the account, cannot change databases and containers.
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: { tier: 'Continuous7Days' }
    }
  }
}

resource sqlDatabase 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-05-15' = {
  parent: account
  name: database
  properties: {
    resource: { id: database }
    options: throughput
  }
}

resource records 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-05-15' = {
  parent: sqlDatabase
  name: 'records'
  properties: {
    resource: {
      id: 'records'
      partitionKey: {
        paths: ['/bucket']
        kind: 'Hash'
        version: 2
      }
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [
          { path: '/place/?' }
          { path: '/standing/?' }
          { path: '/trouble/?' }
          { path: '/due/?' }
          { path: '/answer/?' }
          { path: '/bucket/?' }
        ]
        excludedPaths: [
          { path: '/*' }
        ]
      }
    }
  }
}

resource state 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-05-15' = {
  parent: sqlDatabase
  name: 'state'
  properties: {
    resource: {
      id: 'state'
      partitionKey: {
        paths: ['/part']
        kind: 'Hash'
        version: 2
      }
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [
          { path: '/place/?' }
        ]
        excludedPaths: [
          { path: '/*' }
        ]
      }
    }
  }
}

output id string = account.id
output name string = account.name
output url string = 'https://${name}.documents.azure.com'
