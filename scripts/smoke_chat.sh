#!/bin/sh
# Asks a running chain, from outside, whether it works: plain chat, streaming chat, questions that no
# document answers, a body that is no JSON, a client that leaves, and the id of a call in the logs.
# One line per check; the exit status is 1 when anything is off, and the reason is in its line. Needs
# sh and curl, and nothing that a system with sh lacks.
#
#   BFF_URL          where the BFF is; else http://127.0.0.1:$BFF_PORT, else BFF_PORT of .env.local
#   SMOKE_API_KEY    one of the BFF's BFF_API_KEYS, where it needs one
#   SMOKE_QUESTION   something the ingested documents answer; else some about the handbook
#   SMOKE_OFF_TOPIC  something they do not
#   SMOKE_ATTEMPTS   how often a question is asked before the model is given up (6): small models fail
#                    now and then. What the chain itself does wrong is never asked again.
#   SMOKE_MARGIN_MS  how much sooner than the last delta the first must come (50)
#   SMOKE_LIMIT_S    the longest that one answer may take (150)
#   SMOKE_LOGS       a command that prints the services' logs; else those of `make run` and `make up`
set -u

if [ -z "${BFF_PORT:-}" ] && [ -f .env.local ]; then
    BFF_PORT=$(sed -n 's/^ *\(export  *\)\{0,1\}BFF_PORT *= *["'\'']*\([0-9]*\).*/\2/p' .env.local | tail -n 1)
fi
BFF_URL=${BFF_URL:-http://127.0.0.1:${BFF_PORT:-8088}}
OFF_TOPIC=${SMOKE_OFF_TOPIC:-Which zebra won the violin regatta on Neptune?}
NO_WORDS='Qwxzv jjkqp vvxzq?' # nothing can be found by these
ATTEMPTS=${SMOKE_ATTEMPTS:-6}
MARGIN_MS=${SMOKE_MARGIN_MS:-50}
LIMIT_S=${SMOKE_LIMIT_S:-150}
ID=smoke-$$-$(date +%s)
FAILED=0

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
# In a file of our own, since anybody may read a program's arguments.
echo 'content-type: application/json' >"$dir/headers"
[ -z "${SMOKE_API_KEY:-}" ] || printf 'x-api-key: %s\n' "$SMOKE_API_KEY" >>"$dir/headers"

ok() { echo "ok    $1"; }
off() {
    echo "FAIL  $1: $2" >&2
    FAILED=1
}

# JSON on stdin → one "path<TAB>value" line per scalar, so that grep and awk can ask about it:
# {"a":[{"b":"c"}]} → $.a[0].b	c. Escapes stay as they are written.
flatten() {
    awk '
    { text = text $0 "\n" }
    END {
        depth = 0; path[0] = "$"; length_ = length(text)
        for (i = 1; i <= length_; i++) {
            c = substr(text, i, 1)
            if (c == "{" || c == "[") {
                outer = here()
                depth++; path[depth] = outer; kind[depth] = c; count[depth] = 0; key = (c == "{")
            } else if (c == "}" || c == "]") { depth--; key = 0 }
            else if (c == ",") { count[depth]++; key = (kind[depth] == "{") }
            else if (c == "\"") {
                value = ""
                while ((c = substr(text, ++i, 1)) != "\"" && i <= length_) {
                    if (c == "\\") { value = value c; c = substr(text, ++i, 1) }
                    value = value c
                }
                if (key) { name[depth] = value; key = 0 } else print here() "\t" value
            } else if (c ~ /[-0-9a-z]/) {
                value = c
                while ((c = substr(text, i + 1, 1)) ~ /[-+.0-9a-zA-Z]/) { value = value c; i++ }
                print here() "\t" value
            }
        }
    }
    function here() {
        if (depth == 0) return path[0]
        if (kind[depth] == "{") return path[depth] "." name[depth]
        return path[depth] "[" count[depth] "]"
    }'
}

# value PATH FILE: the scalar at PATH of a flattened file.
value() { awk -F '\t' -v path="$1" '$1 == path { print $2; exit }' "$2"; }

# ids LIST FILE: the chunk_id of every item of LIST (citations, sources), one per line, sorted.
ids() {
    awk -F '\t' -v list="$1" '$1 ~ "^[$][.]" list "[[][0-9]+[]][.]chunk_id$" { print $2 }' "$2" |
        sort -u
}

body() { printf '{"message":{"role":"user","content":"%s"}}' "$1"; }

# question N: the one to ask the Nth time.
question() {
    if [ -n "${SMOKE_QUESTION:-}" ]; then
        echo "$SMOKE_QUESTION"
        return
    fi
    case $(($1 % 3)) in
    1) echo 'How do I run this against Ollama?' ;;
    2) echo 'What is a fallback?' ;;
    0) echo 'What does the preflight check look at?' ;;
    esac
}

# post PATH BODY OUT [curl's arguments]: the HTTP status on stdout, the answer in OUT; 000 when nothing
# answers, or not in time.
post() {
    path=$1 data=$2 out=$3
    shift 3
    curl -sS -N -m "$LIMIT_S" -o "$out" -w '%{http_code}' -H "@$dir/headers" --data-binary "$data" "$@" \
        "$BFF_URL$path" 2>"$dir/curl"
}

# Whether a reason code tells of a model that did badly, and not of the chain.
models_doing() { case $1 in MODEL_* | OUTPUT_* | CITATIONS_*) ;; *) false ;; esac }

again() { [ "$attempt" -lt "$ATTEMPTS" ] && models_doing "$1"; }

asked() { [ "$attempt" = 1 ] || echo " (asked $attempt times)"; }

# events FILE: the stream's lines as $dir/lines, and what `done` says as $dir/done.flat.
events() {
    tr -d '\r' <"$1" >"$dir/lines"
    sed -n '/^event: *done/{n;s/^data: *//p;}' "$dir/lines" | flatten >"$dir/done.flat"
}

# A run of deltas counts as one.
event_names() { sed -n 's/^event: *//p' "$dir/lines" | uniq | tr '\n' ' '; }

# Milliseconds between the first delta and the last, out of curl's own record of when it received what.
delta_span_ms() {
    awk '
    /^[0-9][0-9]:[0-9][0-9]:[0-9.]+ / {
        received = / <= Recv data/
        split($1, clock, ":")
        now = ((clock[1] * 60 + clock[2]) * 60 + clock[3]) * 1000
        next
    }
    received {
        sub(/^[0-9a-f]+: /, "")
        text = text $0
        while (at = index(text, "event: delta")) {
            if (!any++) first = now
            last = now
            text = substr(text, at + 12)
        }
        if (length(text) > 12) text = substr(text, length(text) - 11)
    }
    END { span = last - first; if (span < 0) span += 86400000; printf "%d\n", span }' "$dir/trace"
}

# cited NAME FILE: at least one citation, and each names a source.
cited() {
    ids citations "$2" >"$dir/citations"
    ids sources "$2" >"$dir/sources"
    strangers=$(grep -vxF -f "$dir/sources" "$dir/citations" | tr '\n' ' ')
    if [ ! -s "$dir/citations" ]; then
        off "$1" "no citation"
    elif [ ! -s "$dir/sources" ] || [ -n "$strangers" ]; then
        off "$1" "cited but not among the sources: ${strangers:-no sources at all}"
    else
        ok "$1: $(grep -c . "$dir/citations") cited of $(grep -c . "$dir/sources") sources"
    fi
}

plain() {
    attempt=1
    while :; do
        status=$(post /chat "$(body "$(question "$attempt")")" "$dir/plain" -H "x-request-id: $ID-plain")
        if [ "$status" != 200 ]; then
            off plain "HTTP $status: $(head -c 300 "$dir/plain" 2>/dev/null)$(cat "$dir/curl")"
            return
        fi
        flatten <"$dir/plain" >"$dir/plain.flat"
        outcome=$(value '$.status' "$dir/plain.flat")
        reason=$(value '$.reason_code' "$dir/plain.flat")
        if [ "$outcome" = ok ] || ! again "$reason"; then break; fi
        attempt=$((attempt + 1))
    done
    if [ "$outcome" != ok ]; then
        off plain "status ${outcome:-missing}, reason $reason$(asked)"
    elif [ "$(value '$.request_id' "$dir/plain.flat")" != "$ID-plain" ]; then
        off plain "asked as $ID-plain, answered as $(value '$.request_id' "$dir/plain.flat")"
    else
        cited "plain$(asked)" "$dir/plain.flat"
    fi
}

streaming() {
    attempt=1
    while :; do
        status=$(post '/chat?stream=true' "$(body "$(question "$attempt")")" "$dir/stream" \
            -H "x-request-id: $ID-stream" --trace-ascii "$dir/trace" --trace-time)
        if [ "$status" != 200 ]; then
            off streaming "HTTP $status: $(head -c 300 "$dir/stream" 2>/dev/null)$(cat "$dir/curl")"
            return
        fi
        events "$dir/stream"
        names=$(event_names)
        deltas=$(grep -c '^event: *delta$' "$dir/lines")
        outcome=$(value '$.status' "$dir/done.flat")
        reason=$(value '$.reason_code' "$dir/done.flat")
        if [ "$outcome" = ok ] || ! again "$reason"; then break; fi
        attempt=$((attempt + 1))
    done
    if [ "$names" != "meta sources citations delta done " ]; then
        off streaming "events came as: ${names:-none}$(sed -n '/^event: *error/{n;p;}' "$dir/lines")$(asked)"
        return
    fi
    if [ "$outcome" != ok ]; then
        off streaming "done says ${outcome:-nothing}, reason $reason"
        return
    fi
    if [ "$deltas" -lt 2 ]; then
        off streaming "only $deltas delta event"
        return
    fi
    span=$(delta_span_ms)
    if [ "$span" -lt "$MARGIN_MS" ]; then
        off streaming "$deltas deltas, but the first came only $span ms before the last: somebody collects them"
        return
    fi
    ok "streaming$(asked): meta, sources, citations, $deltas deltas within $span ms, done"
    for name in sources citations; do
        sed -n "/^event: *$name\$/{n;s/^data: *//p;}" "$dir/lines" | flatten
    done >"$dir/stream.flat"
    cited "streaming citations" "$dir/stream.flat"
}

# Nothing is found, so the model is never asked; the same in both modes.
no_chunks() {
    status=$(post /chat "$(body "$NO_WORDS")" "$dir/none")
    flatten <"$dir/none" >"$dir/none.flat" 2>/dev/null
    outcome="$(value '$.status' "$dir/none.flat") $(value '$.reason_code' "$dir/none.flat")"
    post '/chat?stream=true' "$(body "$NO_WORDS")" "$dir/none" >"$dir/status"
    events "$dir/none"
    streamed="$(value '$.status' "$dir/done.flat") $(value '$.reason_code' "$dir/done.flat")"
    if [ "$outcome" != "fallback RAG_NO_CHUNKS" ]; then
        off "no chunks" "HTTP $status, $outcome"
    elif [ "$(value '$.message_key' "$dir/none.flat")$(ids citations "$dir/none.flat")" != sources ]; then
        off "no chunks" "a fallback that cites something, or says something else than that nothing was found"
    elif [ "$streamed" != "$outcome" ] || grep -q '^event: *delta' "$dir/lines"; then
        off "no chunks" "streamed: $(event_names)$streamed"
    else
        ok "no chunks: $outcome, plain and streamed"
    fi
}

# How many clients the BFF has seen leave; empty where its figures are not within reach.
leavers() {
    curl -sS -m 5 "$BFF_URL/metrics" 2>/dev/null | awk '
    /^bsl_requests_total/ { any = 1; if (/CLIENT_DISCONNECTED/) sum += $NF }
    END { if (any) print sum + 0 }'
}

# Every condition that takes a moment to come true gets two seconds.
soon() {
    tries=20
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
}

one_more_left() { [ "$(leavers)" -gt "$before" ] 2>/dev/null; }

# Leaves as a closed window does: sed is gone with the first delta, and curl with it.
leaving() {
    before=$(leavers)
    attempt=1
    while :; do
        curl -sS -N -m "$LIMIT_S" -H "@$dir/headers" -H "x-request-id: $ID-left" \
            --data-binary "$(body "$(question "$attempt")")" "$BFF_URL/chat?stream=true" 2>"$dir/curl" |
            sed '/^event: *delta/q' >"$dir/left"
        events "$dir/left"
        grep -q '^event: *delta' "$dir/lines" && break
        if ! again "$(value '$.reason_code' "$dir/done.flat")"; then
            off leaving "no delta to leave at, events came as: $(event_names)$(asked)"
            return
        fi
        attempt=$((attempt + 1))
    done
    if [ -z "$before" ]; then
        echo "--    leaving: the BFF's /metrics is not within reach"
    elif soon one_more_left; then
        ok "leaving$(asked): the BFF saw the client go"
    else
        off leaving "the BFF did not notice within two seconds that its client had left"
    fi
}

# All that the services have written, as far as it can be reached.
logs() {
    if [ -n "${SMOKE_LOGS:-}" ]; then
        sh -c "$SMOKE_LOGS" 2>/dev/null
        return
    fi
    cat var/log/bff.log var/log/qs.log var/log/llmgw.log 2>/dev/null
    docker compose -p bsl logs --no-log-prefix --no-color --since 10m bff qs llm-gateway-service 2>/dev/null
}

# Which services have closed the call of this id with this word in the line.
closed() { logs | grep -F "\"$1\"" | grep '"call ended"' | grep -F "$2" |
    sed -n 's/.*"service": *"\([a-z]*\)".*/\1/p' | sort -u | tr '\n' ' '; }

all_closed() {
    found=$(closed "$1" "$2")
    [ "$found" = "bff llmgw qs " ]
}

ids_in_the_logs() {
    if [ -z "$(closed "$ID-stream" '')" ]; then
        echo "--    ids in the logs: no logs of this chain within reach"
    elif soon all_closed "$ID-stream" '' && soon all_closed "$ID-left" CLIENT_DISCONNECTED; then
        ok "ids in the logs: bff, qs and llmgw closed the streamed call, and the one whose client left"
    else
        off "ids in the logs" "only in those of: ${found:-none}"
    fi
}

off_topic() {
    status=$(post /chat "$(body "$OFF_TOPIC")" "$dir/off")
    flatten <"$dir/off" >"$dir/off.flat" 2>/dev/null
    outcome="$(value '$.status' "$dir/off.flat") $(value '$.reason_code' "$dir/off.flat")"
    case "$outcome" in
    "fallback RAG_NO_CHUNKS" | "fallback RAG_LOW_SCORE" | "fallback MODEL_ABSTAINED")
        if [ -n "$(ids citations "$dir/off.flat")" ]; then
            off off-topic "a fallback that cites something"
        else
            ok "off-topic: $outcome"
        fi
        ;;
    *) off off-topic "HTTP $status, $outcome" ;;
    esac
}

bad_input() {
    status=$(post /chat '{"message": ' "$dir/bad")
    flatten <"$dir/bad" >"$dir/bad.flat" 2>/dev/null
    code=$(value '$.error.code' "$dir/bad.flat")
    if [ "$status $code" = "400 INPUT_INVALID" ]; then
        ok "bad input: 400 INPUT_INVALID"
    else
        off "bad input" "HTTP $status ${code:-without a code}, 400 INPUT_INVALID expected"
    fi
}

command -v curl >/dev/null || {
    echo "FAIL  curl was not found: install it" >&2
    exit 1
}
curl -sS -m 5 -o "$dir/health" "$BFF_URL/health" 2>"$dir/curl" || {
    echo "FAIL  nothing answers at $BFF_URL ($(cat "$dir/curl")): start it with \`make run\` or \`make up\`" >&2
    exit 1
}
plain
streaming
no_chunks
off_topic
bad_input
leaving
ids_in_the_logs
exit "$FAILED"
