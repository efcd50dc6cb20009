#!/bin/sh
# The chain in containers, for `make up` and its neighbours; needs sh and Docker, and no Python.
#
#   containers.sh up [fake|ollama|vllm]              build, start everything, wait until it answers
#   containers.sh down | logs                        everything, whatever was started
#   containers.sh local-llm-up [ollama|vllm]         the model alone
#   containers.sh local-llm-down
#
# GPU=1 gives Ollama the machine's NVIDIA GPUs; vLLM always gets them. What is set in compose/env/*.env holds, the
# environment wins; files that are not there yet are made from their *.example. DOCKER names another docker.
# Exit status: Docker's own; 2 for wrong arguments, 1 when Docker cannot be used.
set -eu
cd "$(dirname "$0")/.."

DOCKER=${DOCKER:-docker}
ENGINE_MAJOR=25 # health checks with a start_interval
WAIT_S=900

usage() {
    sed -n 's/^#   //p' scripts/containers.sh >&2
    exit 2
}

give_up() {
    echo "containers: $1" >&2
    exit 1
}

usable_docker() {
    command -v "$DOCKER" >/dev/null || give_up "$DOCKER was not found: install Docker Engine $ENGINE_MAJOR or newer"
    "$DOCKER" compose version >/dev/null 2>&1 ||
        give_up "\`$DOCKER compose\` does not work: install Docker's Compose plugin, 2.24 or newer"
    engine=$("$DOCKER" version --format '{{.Server.Version}}' 2>/dev/null) ||
        give_up "no Docker engine answers: start it, or see with \`$DOCKER version\` what is wrong"
    [ "${engine%%.*}" -ge "$ENGINE_MAJOR" ] 2>/dev/null ||
        give_up "Docker Engine $engine is too old: $ENGINE_MAJOR or newer is needed"
}

# Each RANDOM becomes a key of its own. Nobody but the owner may read the file, not even while it is made.
settings_files() {
    for example in compose/env/*.env.example; do
        file=${example%.example}
        [ ! -e "$file" ] || continue
        (
            umask 077
            while IFS= read -r line; do
                case $line in
                *=RANDOM) line=${line%RANDOM}$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') ;;
                esac
                printf '%s\n' "$line"
            done <"$example" >"$file.new"
            mv "$file.new" "$file"
        )
        echo "made $file"
    done
}

# compose FILE ARGUMENT…: Docker Compose over FILE, and over the GPU's file where there is to be one.
compose() {
    main=$1
    shift
    if [ "${GPU:-}" = 1 ] || [ "${COMPOSE_PROFILES:-}" = vllm ]; then
        set -- -f compose/docker-compose.gpu.yml "$@"
    fi
    "$DOCKER" compose --env-file compose/env/stack.env --env-file compose/env/secrets.env -f "compose/$main" "$@"
}

everything() { compose compose.yaml "$@"; }
model() { compose docker-compose.local-llm.yml "$@"; }

one_of() {
    wanted=$1
    shift
    for known in "$@"; do [ "$wanted" != "$known" ] || return 0; done
    echo "containers: LLM=$wanted is none of: $*" >&2
    exit 2
}

# In the foreground, so that whoever waits sees how far the model has come.
start_model() {
    model up --detach --wait --wait-timeout 7200 "$COMPOSE_PROFILES"
    [ "$COMPOSE_PROFILES" = vllm ] || model run --rm ollama-model
}

setting() { sed -n "s/^$1=//p" compose/env/stack.env | tail -n 1; }

greet() {
    address=${BFF_ADDRESS:-$(setting BFF_ADDRESS)}
    case $address in 0.0.0.0) address=127.0.0.1 ;; esac
    echo "ready http://$address:${BFF_PORT:-$(setting BFF_PORT)}"
    echo "the chat page is there · \`make smoke\` tries it · \`make logs\` shows the logs · \`make down\` stops everything"
}

case ${1:-} in
up)
    [ "$#" -le 2 ] || usage
    one_of "${2:-fake}" fake ollama vllm
    usable_docker
    settings_files
    export COMPOSE_PROFILES="${2:-fake}"
    [ "$COMPOSE_PROFILES" = fake ] || start_model
    everything up --detach --build --wait --wait-timeout "$WAIT_S"
    greet
    ;;
down)
    [ "$#" -eq 1 ] || usage
    usable_docker
    settings_files
    everything --profile '*' down --remove-orphans
    ;;
logs)
    [ "$#" -eq 1 ] || usage
    usable_docker
    settings_files
    everything --profile '*' logs --follow --tail 200
    ;;
local-llm-up)
    [ "$#" -le 2 ] || usage
    one_of "${2:-ollama}" ollama vllm
    usable_docker
    settings_files
    export COMPOSE_PROFILES="${2:-ollama}"
    start_model
    ;;
local-llm-down)
    [ "$#" -eq 1 ] || usage
    usable_docker
    settings_files
    model --profile '*' rm --stop --force
    ;;
*) usage ;;
esac
