#!/usr/bin/env bash
# Bring the data views, searches and the dashboard into Kibana; again replaces them.
#   KIBANA_URL (else http://127.0.0.1:5601), KIBANA_USER (else elastic), KIBANA_PASSWORD
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
curl -sS --fail-with-body -u "${KIBANA_USER:-elastic}:${KIBANA_PASSWORD:?set KIBANA_PASSWORD}" -H 'kbn-xsrf: true' \
    -X POST "${KIBANA_URL:-http://127.0.0.1:5601}/api/saved_objects/_import?overwrite=true" \
    --form "file=@$here/objects.ndjson;type=application/ndjson"
echo
