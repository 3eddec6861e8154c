#!/usr/bin/env bash
# Crowdpulse in Docker: ./start.sh --help
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
./start.sh [all | social | wiki | check | chat] [--no-security]
                                start it (default: all, which is social and wiki), wait until it works, say where it is
                                and with which keys
./start.sh down [--data]        stop it; with --data all topics, indices and checkpoints go too
./start.sh status               what runs
./start.sh --help

It needs Docker with Compose 2.24 or later, 8 GB of memory and 12 GB of disk. Passwords are made on the first run and
kept in docker/.env, which git ignores. Ports: KAFKA_PORT, ELASTICSEARCH_PORT, KIBANA_PORT, FLINK_PORT, S3_PORT,
VIEW_PORT and CHAT_PORT; SOURCE=live takes the public Wikimedia streams. More: docs/docker.md.
TEXT
}

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

passwords=docker/.env
compose() { docker compose --env-file "$passwords" "${files[@]}" "$@"; }

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

make_passwords() {
  if [ ! -f "$passwords" ]; then
    (umask 077 && printf '%s=%s\n' \
      ELASTIC_PASSWORD "$(random)" KIBANA_PASSWORD "$(random)" KIBANA_ENCRYPTION_KEY "$(random)" \
      COMPOSE_PROFILES all >"$passwords")
    echo "Made passwords: they are in $passwords, readable by you only. The user is elastic."
  fi
  # A file of an earlier version has none.
  grep -q '^MODERATION_API_KEYS=' "$passwords" ||
    printf '\nMODERATION_API_KEYS=chat:%s,moderator:%s:moderator\n' "$(random)" "$(random)" >>"$passwords"
}

# Where the chat is, and a line for each of its keys.
tell_chat() {
  local keys entry key role address="http://127.0.0.1:${CHAT_PORT:-9095}"
  keys=${MODERATION_API_KEYS:-$(sed -n 's/^MODERATION_API_KEYS=//p' "$passwords")}
  echo "  chat           $address"
  echo "  moderators     $address/moderator"
  for entry in ${keys//,/ }; do
    IFS=: read -r _ key role <<<"$entry"
    printf '  sign in        with the key %s%s\n' "$key" "${role:+, as $role}"
  done
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# What stands against a start, all at once.
preflight() {
  local problems=() version memory free ours port name
  local ports=(KAFKA_PORT:9092 ELASTICSEARCH_PORT:9200 KIBANA_PORT:5601 FLINK_PORT:9081 S3_PORT:9500 VIEW_PORT:9090)
  [ "$1" != chat ] || ports+=(CHAT_PORT:9095)
  command -v docker >/dev/null || fail "Docker is missing: install Docker Engine or Docker Desktop."
  docker info >/dev/null 2>&1 || fail "Docker does not answer: start it, or let your user reach it (group docker)."
  version=$(docker compose version --short 2>/dev/null | tr -d v || true)
  if [ -z "$version" ] || [ "$(printf '%s\n' 2.24 "$version" | sort -V | head -n 1)" != 2.24 ]; then
    problems+=("Docker Compose is ${version:-missing}: 2.24 or later is needed (the plugin docker-compose-plugin).")
  fi
  memory=$(($(docker info --format '{{.MemTotal}}') / 1000000))
  if [ "$memory" -lt 7500 ]; then
    problems+=("Docker has $memory MB of memory and needs 8,000 (Docker Desktop: Settings, Resources).")
  fi
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  ours=$(docker image ls -q crowdpulse:latest 2>/dev/null || true)
  if [ -z "$ours" ] && [ "$free" -lt 12000 ]; then
    problems+=("The disk has $free MB free, and images and data want 12,000.")
  fi
  if [ -z "$(docker ps -q --filter label=com.docker.compose.project=crowdpulse)" ]; then
    for name in "${ports[@]}"; do
      port=${name#*:} name=${name%:*}
      port=${!name:-$port}
      if taken "$port"; then
        problems+=("Port $port is taken: end what uses it (the local stack? make down), or set $name to another.")
      fi
    done
  fi
  [ "${#problems[@]}" -eq 0 ] || fail "It cannot start:" "${problems[@]/#/  - }"
}

# Wait for the services that do their work once; fail with what the first bad one said.
wait_for_once() {
  local service state deadline=$((SECONDS + 900))
  for service in "$@"; do
    printf '  %-12s ' "$service"
    until state=$(compose ps --all --format '{{.State}} {{.ExitCode}}' "$service") && [[ $state = exited* ]]; do
      [ "$SECONDS" -lt "$deadline" ] || fail "does not end: look at ./start.sh status."
      sleep 2
    done
    if [ "$state" != "exited 0" ]; then
      echo "failed:"
      compose logs --no-log-prefix --tail 20 "$service"
      fail "Mend it and run ./start.sh again: what is done is not done twice. See docs/docker.md."
    fi
    echo "done"
  done
}

start() {
  preflight "$1"
  make_passwords
  export COMPOSE_PROFILES=$1
  local once=(setup dashboards)
  case $1 in
    all) once+=(jobs-social jobs-wiki) ;;
    *) once+=("jobs-$1") ;;
  esac
  echo "Starting Crowdpulse ($1): the first time this downloads about 3 GB and builds an image, some ten minutes."
  compose build jobmanager
  compose up --detach
  echo "Waiting for what is done once:"
  wait_for_once "${once[@]}"
  cat <<TEXT

Crowdpulse runs.
TEXT
  [ "$1" != chat ] || tell_chat
  cat <<TEXT
  live view      http://127.0.0.1:${VIEW_PORT:-9090}
  Kibana         http://127.0.0.1:${KIBANA_PORT:-5601}$login
  Flink          http://127.0.0.1:${FLINK_PORT:-9081}
  Elasticsearch  http://127.0.0.1:${ELASTICSEARCH_PORT:-9200}$login
  what runs      ./start.sh status
  stop it        ./start.sh down
TEXT
}

suite='' action=start data=() files=(-f docker-compose.yml) login="   (user elastic, password in $passwords)"
for argument in "$@"; do
  case $argument in
    all | social | wiki | check | chat) suite=$argument ;;
    down | status) action=$argument ;;
    --data) data=(--volumes) ;;
    --no-security) files+=(-f docker/no-security.yml) login='' ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
done

case $action in
  start) start "${suite:-all}" ;;
  status) make_passwords && COMPOSE_PROFILES=all,check,chat compose ps --all ;;
  down) make_passwords && COMPOSE_PROFILES=all,check,chat compose down --remove-orphans ${data[@]+"${data[@]}"} ;;
esac
