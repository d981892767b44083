#!/bin/sh
# Writes what the machine is at, once a second: a script in shell, cancelled with Ctrl-C or from anywhere.
count=${1:-5}
trap 'echo "asked to end, what is written stays"; exit 143' TERM
i=1
while [ "$i" -le "$count" ]; do
    echo "$(date -u +%FT%TZ),$(cut -d ' ' -f 1 /proc/loadavg)" >> load.csv
    echo "$((100 * i / count)) %"
    [ "$i" -lt "$count" ] && sleep 1
    i=$((i + 1))
done
