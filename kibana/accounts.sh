#!/usr/bin/env bash
# Accounts with no more than they need, once Elasticsearch's security is on; again is the same.
#   ELASTICSEARCH_URL, ELASTIC_PASSWORD, REMEMBR_ELASTICSEARCH_PASSWORD, KIBANA_PASSWORD, KIBANA_READER_PASSWORD;
#   ELASTICSEARCH_CA where the authority is your own, REMEMBR_INDEX_PREFIX where it isn't "remembr".
set -euo pipefail
prefix="${REMEMBR_INDEX_PREFIX:-remembr}"

put() {
    curl -sS --fail-with-body ${ELASTICSEARCH_CA:+--cacert "$ELASTICSEARCH_CA"} -u "elastic:$ELASTIC_PASSWORD" \
        -H 'Content-Type: application/json' -X PUT "$ELASTICSEARCH_URL/_security/$1" --data-binary @- >/dev/null
}

# The service: its own indices and their templates. Backups need more, and are the operator's.
put "role/remembr_service" <<JSON
{
  "cluster": ["monitor", "manage_index_templates"],
  "indices": [{"names": ["$prefix-*"], "privileges": ["all"]}]
}
JSON
put "user/remembr" <<JSON
{"password": "$REMEMBR_ELASTICSEARCH_PASSWORD", "roles": ["remembr_service"]}
JSON

# Who looks at dashboards. With the Basic licence a role can't hide fields: this one reads what was said as well.
# docs/kibana.md has the one that doesn't, for licences that can.
put "role/remembr_reader" <<JSON
{
  "indices": [
    {
      "names": ["$prefix-episodes", "$prefix-deliveries", "$prefix-api-keys", "$prefix-audit",
                "$prefix-usage"],
      "privileges": ["read", "view_index_metadata"]
    }
  ],
  "applications": [
    {
      "application": "kibana-.kibana",
      "privileges": ["feature_discover.read", "feature_dashboard.read", "feature_visualize.read"],
      "resources": ["space:default"]
    }
  ]
}
JSON
put "user/remembr_reader" <<JSON
{"password": "$KIBANA_READER_PASSWORD", "roles": ["remembr_reader"]}
JSON

put "user/kibana_system/_password" <<JSON
{"password": "$KIBANA_PASSWORD"}
JSON
echo "Accounts are in place: remembr, remembr_reader, kibana_system."
