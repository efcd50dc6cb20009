#!/bin/sh
# Asks a running stack, from outside, whether it works: plain chat, streaming chat, a question that
# no document answers, and a body that is no JSON. One line per check; the exit status is 1 when
# anything is off, and the reason is in its line. Needs sh, awk and curl.
#
#   BFF_URL         where the BFF is; else http://127.0.0.1:$BFF_PORT, else BFF_PORT of .env.local
#   SMOKE_API_KEY   one of the BFF's BFF_API_KEYS, where it needs one
#   SMOKE_QUESTION  something the ingested documents answer
#   SMOKE_OFF_TOPIC something they do not
set -u

if [ -z "${BFF_PORT:-}" ] && [ -f .env.local ]; then
    BFF_PORT=$(sed -n 's/^ *\(export  *\)\{0,1\}BFF_PORT *= *["'\'']*\([0-9]*\).*/\2/p' .env.local | tail -n 1)
fi
BFF_URL=${BFF_URL:-http://127.0.0.1:${BFF_PORT:-8088}}
QUESTION=${SMOKE_QUESTION:-How do I run this against Ollama?}
OFF_TOPIC=${SMOKE_OFF_TOPIC:-Which zebra won the violin regatta on Neptune?}
LIMIT_S=30
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

# post PATH BODY OUT: the HTTP status on stdout, the answer in OUT; 000 when nothing answers.
post() {
    curl -sS -N -m "$LIMIT_S" -o "$3" -w '%{http_code}' -H "@$dir/headers" --data-binary "$2" \
        "$BFF_URL$1" 2>"$dir/curl"
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
    status=$(post /chat "$(body "$QUESTION")" "$dir/plain")
    if [ "$status" != 200 ]; then
        off plain "HTTP $status: $(head -c 300 "$dir/plain" 2>/dev/null)"
        return
    fi
    flatten <"$dir/plain" >"$dir/plain.flat"
    outcome=$(value '$.status' "$dir/plain.flat")
    if [ "$outcome" != ok ]; then
        off plain "status ${outcome:-missing}, reason $(value '$.reason_code' "$dir/plain.flat")"
        return
    fi
    cited plain "$dir/plain.flat"
}

# The names of the events in one line, a run of deltas as one word; then how many deltas there were.
streaming() {
    status=$(post '/chat?stream=true' "$(body "$QUESTION")" "$dir/stream")
    if [ "$status" != 200 ]; then
        off streaming "HTTP $status: $(head -c 300 "$dir/stream" 2>/dev/null)"
        return
    fi
    tr -d '\r' <"$dir/stream" >"$dir/lines"
    names=$(sed -n 's/^event: *//p' "$dir/lines" | uniq | tr '\n' ' ')
    deltas=$(grep -c '^event: *delta$' "$dir/lines")
    if [ "$names" != "meta sources citations delta done " ]; then
        off streaming "events came as: ${names:-none}$(sed -n '/^event: *error/{n;p;}' "$dir/lines")"
        return
    fi
    if [ "$deltas" -lt 2 ]; then
        off streaming "only $deltas delta event"
        return
    fi
    sed -n '/^event: *done/{n;s/^data: *//p;}' "$dir/lines" | flatten >"$dir/done.flat"
    outcome=$(value '$.status' "$dir/done.flat")
    if [ "$outcome" != ok ]; then
        off streaming "done says ${outcome:-nothing}, reason $(value '$.reason_code' "$dir/done.flat")"
        return
    fi
    ok "streaming: meta, sources, citations, $deltas deltas, done"
    for name in sources citations; do
        sed -n "/^event: *$name\$/{n;s/^data: *//p;}" "$dir/lines" | flatten
    done >"$dir/stream.flat"
    cited "streaming citations" "$dir/stream.flat"
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
    echo "FAIL  nothing answers at $BFF_URL ($(cat "$dir/curl")): start it with \`make run\`" >&2
    exit 1
}
plain
streaming
off_topic
bad_input
exit "$FAILED"
