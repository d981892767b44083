#!/usr/bin/env bash
# Runs a screen through the interface of the earlier system, with curl and jq alone: starts it, follows it, prints the rest.
#     examples/execute.sh http://127.0.0.1:8000 bullish_breakout '{"universe_source": "sp500"}'
set -euo pipefail
host=$1 code=${2:-bullish_breakout}
[ $# -ge 3 ] && parameters=$3 || parameters='{}'

started=$(jq -n --arg code "$code" --argjson parameters "$parameters" \
    '{strategy_code: $code, parameters: $parameters, options: {priority: "high"}}' |
    curl -sf "$host/api/strategies/execute" -H 'Content-Type: application/json' -d @-)
run=$(jq -r .run_id <<<"$started")
echo "run $run is $(jq -r .status <<<"$started"), place $(jq -r .position_in_queue <<<"$started") in the queue" >&2

# each message is "event: TYPE" and "data: {…}"
curl -sfN "$host$(jq -r .sse_endpoint <<<"$started")" | sed -un 's/^data: //p' |
    jq -r --unbuffered '"\(.progress_percent)% \(.event_type) \(.message)"' >&2

curl -sf "$host/api/strategies/runs/$run/status" | jq .
