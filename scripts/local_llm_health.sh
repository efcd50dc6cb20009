#!/bin/sh
# Asks a model server whether it can be used: does /v1/models list the model, and does it write a word? One line for
# each; the exit status is 1 when either is off. Needs sh and curl.
#
#   LLM         ollama (default) or vllm: whose port of compose/env/stack.env is asked; or an address, http://HOST:PORT/v1
#   LLM_MODEL   the model; else that of compose/env/stack.env
#   LLM_API_KEY where the server wants one
set -u
cd "$(dirname "$0")/.." || exit 1

LIMIT_S=180 # a cold model is loaded first

setting() {
    for file in compose/env/stack.env compose/env/stack.env.example; do
        [ ! -e "$file" ] || { sed -n "s/^$1=//p" "$file" | tail -n 1; return; }
    done
}

off() {
    echo "FAIL  $1" >&2
    exit 1
}

command -v curl >/dev/null || off "curl was not found: install it"
case ${LLM:-ollama} in
ollama) url=http://127.0.0.1:${OLLAMA_PORT:-$(setting OLLAMA_PORT)}/v1 ;;
vllm) url=http://127.0.0.1:${VLLM_PORT:-$(setting VLLM_PORT)}/v1 ;;
http://* | https://*) url=${LLM%/} ;;
*)
    echo "local-llm-health: LLM=$LLM is neither ollama, vllm nor an address like http://127.0.0.1:11434/v1" >&2
    exit 2
    ;;
esac
model=${LLM_MODEL:-$(setting LLM_MODEL)}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
# In a file of our own, since anybody may read a program's arguments.
echo 'content-type: application/json' >"$dir/headers"
[ -z "${LLM_API_KEY:-}" ] || printf 'authorization: Bearer %s\n' "$LLM_API_KEY" >>"$dir/headers"

# ask LIMIT_S PATH [curl's arguments]: the HTTP status on stdout, the answer in $dir/answer; 000 when nothing answers.
ask() {
    limit=$1 path=$2
    shift 2
    : >"$dir/answer"
    curl -sS --noproxy '*' -m "$limit" -o "$dir/answer" -w '%{http_code}' -H "@$dir/headers" "$@" "$url$path" 2>"$dir/curl"
}

# said NAME: every text that stands in the answer under this name, one per line, whatever blanks there are.
said() { tr -d '\n' <"$dir/answer" | grep -o "\"$1\"[[:blank:]]*:[[:blank:]]*\"[^\"]*" | sed 's/^"[^"]*"[^"]*"//'; }

status=$(ask 10 /models)
[ "$status" != 000 ] || off "nothing answers at $url ($(cat "$dir/curl")): start it with \`make local-llm-up\`"
[ "$status" = 200 ] || off "$url/models: HTTP $status: $(head -c 300 "$dir/answer")"
said id | grep -qxF "$model" || off "$url/models does not list $model, but: $(said id | tr '\n' ' ')"
echo "ok    $url lists $model"

status=$(ask "$LIMIT_S" /chat/completions --data-binary "{\"model\": \"$model\", \"max_tokens\": 16, \"messages\":
 [{\"role\": \"user\", \"content\": \"Answer with one word: which colour has the sky on a clear day?\"}]}")
[ "$status" != 000 ] || off "no completion: $(cat "$dir/curl")"
[ "$status" = 200 ] || off "no completion: HTTP $status: $(head -c 300 "$dir/answer")"
words=$(said content | head -n 1)
[ -n "$words" ] || off "an empty completion: $(head -c 300 "$dir/answer")"
echo "ok    $model wrote: $words"
