// What somebody is to be told of. The queries go by the log lines and figures of docs/functions.md.
param token string
param location string
param tags object
param insightsId string

@description('Address that alerts are mailed to. Empty: none.')
param email string
param mostDeadLetters int
param mostLagHours int

var receivers = empty(email) ? [] : [
  {
    name: 'operator'
    emailAddress: email
    useCommonAlertSchema: true
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'alerts-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'imagesweep'
    enabled: true
    emailReceivers: receivers
  }
}

// A round that ended badly says so in the log; an audit fails its call; the figures are never sampled away.
var runFailed = '''
union isfuzzy=true
  (traces
  | where message startswith 'round.end' and tostring(customDimensions.status) in ('failed', 'misconfigured')
      or message startswith 'round.poisoned' or message startswith 'round.unknown'
  | project timestamp, what = message, why = tostring(customDimensions.reason)),
  (customMetrics
  | where name == 'imagesweep.runs' and tostring(customDimensions.status) in ('failed', 'misconfigured') and valueSum > 0
  | project timestamp, what = strcat('run of ', tostring(customDimensions.job)), why = tostring(customDimensions.source)),
  (requests
  | where success == false and name in ('nightly_sweep', 'weekly_audit', 'give_up_sweep')
  | project timestamp, what = name, why = resultCode)
'''

var noRun = '''
customMetrics
| where timestamp > ago(26h)
| where name == 'imagesweep.runs' and tostring(customDimensions.job) == 'sweep'
| summarize runs = sum(valueSum)
| where isnull(runs) or runs == 0
'''

var deadLetters = '''
customMetrics
| where name == 'imagesweep.settled' and tostring(customDimensions.outcome) == 'dead'
| summarize dead = sum(valueSum) by source = tostring(customDimensions.source)
'''

var lag = '''
customMetrics
| where name == 'imagesweep.lag'
| summarize arg_max(timestamp, valueMax) by source = tostring(customDimensions.source)
| project source, hours = valueMax / 3600
'''

resource runFailedRule 'Microsoft.Insights/scheduledQueryRules@2023-03-15-preview' = {
  name: 'imagesweep-run-failed-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'imagesweep: a run failed'
    description: 'docs/deploy.md, Alerts: imagesweep status says why; the next sweep goes on from the checkpoint.'
    severity: 1
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    criteria: {
      allOf: [
        {
          query: runFailed
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: false
    actions: { actionGroups: [people.id] }
  }
}

resource noRunRule 'Microsoft.Insights/scheduledQueryRules@2023-03-15-preview' = {
  name: 'imagesweep-no-run-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'imagesweep: no run in 26 hours'
    description: 'docs/deploy.md, Alerts: is the app running, is SWEEP_SCHEDULE what it should be, does telemetry arrive?'
    severity: 1
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT1H'
    // The longest that there is; the query itself looks at 26 hours of it.
    windowSize: 'P2D'
    criteria: {
      allOf: [
        {
          query: noRun
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}

resource deadLettersRule 'Microsoft.Insights/scheduledQueryRules@2023-03-15-preview' = {
  name: 'imagesweep-dead-letters-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'imagesweep: dead letters'
    description: 'docs/deploy.md, Alerts: imagesweep failures says what they are and what to do.'
    severity: 2
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT1H'
    windowSize: 'P1D'
    criteria: {
      allOf: [
        {
          query: deadLetters
          metricMeasureColumn: 'dead'
          timeAggregation: 'Total'
          dimensions: [
            {
              name: 'source'
              operator: 'Include'
              values: ['*']
            }
          ]
          operator: 'GreaterThan'
          threshold: mostDeadLetters
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}

resource lagRule 'Microsoft.Insights/scheduledQueryRules@2023-03-15-preview' = {
  name: 'imagesweep-lag-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'imagesweep: lag of more than a day'
    description: 'docs/deploy.md, Alerts: sweeps do not come to their end. imagesweep status and imagesweep plan say how much is ahead.'
    severity: 2
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT1H'
    windowSize: 'P1D'
    criteria: {
      allOf: [
        {
          query: lag
          metricMeasureColumn: 'hours'
          timeAggregation: 'Maximum'
          dimensions: [
            {
              name: 'source'
              operator: 'Include'
              values: ['*']
            }
          ]
          operator: 'GreaterThan'
          threshold: mostLagHours
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}
