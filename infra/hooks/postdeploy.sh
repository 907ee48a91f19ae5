#!/bin/sh
# After `azd deploy`: the index, the Event Grid subscriptions, the workflows. azd hands over the outputs of infra/main.bicep as variables.
# Everything here may be run again: what is there stays as it is. By hand: azd hooks run postdeploy
set -eu
cd "$(dirname "$0")/../.."

imagesweep=.venv/bin/imagesweep
make --silent .venv/run

# A role that was just given may take some minutes until it counts, and a function until Event Grid finds it.
patiently() {
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    if "$@"; then return 0; fi
    echo "not yet (try $try of 15): new roles and functions take some minutes to be known; again in 40 s" >&2
    sleep 40
  done
  return 1
}

if [ "${PRIVATE_NETWORKING:-false}" = true ]; then
  echo "Store and index are reached from inside the virtual network only. Run there, with the values of 'azd env get-values':"
  echo "  imagesweep index create && imagesweep check"
else
  patiently "$imagesweep" index create
fi

patiently az deployment group create --only-show-errors --output none \
  --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$PHOTOS_RESOURCE_GROUP" \
  --name imagesweep-events --template-file infra/events.bicep \
  --parameters topicName="$PHOTOS_TOPIC" functionAppId="$SERVICE_APP_ID" container="$PHOTOS_CONTAINER" prefix="${PHOTOS_PREFIX:-}"
echo "Event Grid: on_blob_created and on_blob_deleted are subscribed to $PHOTOS_ACCOUNT/$PHOTOS_CONTAINER."

if [ -n "${LOGIC_APP_NAME:-}" ]; then
  package=$(mktemp -d)
  trap 'rm -rf "$package"' EXIT
  # shellcheck disable=SC2086 several names
  .venv/bin/python infra/hooks/workflows.py "$package/workflows.zip" ${LOGIC_APP_WORKFLOWS:-nightly-sweep}
  az logicapp deployment source config-zip --only-show-errors --output none \
    --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" --name "$LOGIC_APP_NAME" --src "$package/workflows.zip"
  echo "Logic App: ${LOGIC_APP_WORKFLOWS:-nightly-sweep} deployed to $LOGIC_APP_NAME."
fi
