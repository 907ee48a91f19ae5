// The topic of the photos' account. Its subscriptions need functions that are deployed already: infra/events.bicep makes them.
param name string
param tags object

@description('Storage account in this resource group.')
param accountName string

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

resource topic 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: name
  location: account.location
  tags: tags
  properties: {
    source: account.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}
