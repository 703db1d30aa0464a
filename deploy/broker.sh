#!/bin/sh
# A broker in its container: `broker.sh work` keeps what was paid for, `broker.sh live` keeps nothing; `broker.sh check`
# is its health check. The password stands in REDIS_PASSWORD, or in the file that REDIS_PASSWORD_FILE names.
set -eu

password=${REDIS_PASSWORD:-}
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  password=$(cat "$REDIS_PASSWORD_FILE") || { echo "REDIS_PASSWORD_FILE names $REDIS_PASSWORD_FILE, which cannot be read" >&2; exit 2; }
fi

case "${PUBLISHED_ADDRESS:-127.0.0.1}" in
127.* | ::1 | localhost) ;;
*) [ -n "$password" ] || { echo "the $1 broker would be open to everybody who reaches $PUBLISHED_ADDRESS: set REDIS_PASSWORD" >&2; exit 2; } ;;
esac

case "$1" in
work) set -- --appendonly yes --appendfsync always ;;
live) set -- --appendonly no ;;
check)
  export REDISCLI_AUTH="$password"
  [ "$(redis-cli PING)" = PONG ]
  exit
  ;;
*) echo "usage: broker.sh work|live|check" >&2; exit 2 ;;
esac

if [ -n "$password" ]; then lock="requirepass \"$password\""; else lock=; fi
# The password comes by standard input: it is on no command line.
exec redis-server - --save "" --dir /data --maxmemory "${MAXMEMORY:-512mb}" --maxmemory-policy noeviction "$@" <<END
protected-mode no
$lock
END
