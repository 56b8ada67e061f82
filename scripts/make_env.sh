#!/usr/bin/env bash
# Passwords and keys for docker-compose.yml, random and only yours, in .env; one that is there already is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo ".env is there already; remove it to make another (and with it what the old passwords open)." >&2
    exit 1
fi
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
(
    umask 077
    for name in ELASTIC_PASSWORD KIBANA_PASSWORD KIBANA_READER_PASSWORD REMEMBR_ELASTICSEARCH_PASSWORD \
        REMEMBR_JWT_SECRET REMEMBR_ENCRYPTION_KEYS; do
        echo "$name=$(random)"
    done >.env
)
echo "Made .env. Sign in to Kibana as remembr_reader with KIBANA_READER_PASSWORD."
