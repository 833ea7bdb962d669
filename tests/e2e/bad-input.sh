#!/bin/sh
# What bad input gets: one line that names the thing and the way out, the right exit status, nothing changed in the cloud.
. tests/e2e/lib

scenario '{"groups":["prod","empty"]}' '[]' "$(win b-1 bad.img)" "$(win b-2 bad.img '{"zone":"2"}')" "$(rescue rescue-1)" \
	"$(rescue lone '{"tags":{},"os":"Linux"}')"
sim_start "$T/scenario.json" "$T/cloud"
one_line() {
	[ "$(wc -l <"$T/err")" -eq 1 ] || { cat "$T/err" >&2; fail "not one line"; }
	! head -c 200 "$T/err" | grep -q '^fixfleet: [A-Z][a-z]' || fail "the line begins in upper case"
}
azure="--provider azure --rg prod"

# -- the command line
expect 2 "$FIXFLEET" --provider azure --rg prod --frobnicate; said "unknown option '--frobnicate'"; one_line
expect 2 "$FIXFLEET" --provider oracle; said "unknown provider 'oracle'"; one_line
expect 2 "$FIXFLEET" frobnicate; said "unknown command"; one_line
expect 2 "$FIXFLEET" --provider azure; said "--rg"; one_line
expect 2 "$FIXFLEET"; said "no provider"; one_line
expect 2 "$FIXFLEET" $azure --output yaml; one_line
expect 2 env AZURE_RESOURCE_MANAGER_ENDPOINT=http://management.example.com "$FIXFLEET" $azure; said "plain http"; one_line
echo nobody >"$T/names"
expect 2 "$FIXFLEET" list $azure --instances "$T/names"; said "nobody"; one_line
expect 2 "$FIXFLEET" list $azure --instances "$T/missing"; said "missing"; one_line
expect 2 "$FIXFLEET" $azure; said "--yes"
# -- credentials
expect 3 env -u AZURE_CLIENT_SECRET -u AZURE_TENANT_ID -u AZURE_CLIENT_ID PATH=/nonexistent AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:9 \
	"$FIXFLEET" list $azure
said "managed identity"; said "az"; one_line
expect 3 env AZURE_CLIENT_SECRET=wrong "$FIXFLEET" list $azure; said "AADSTS7000215"; one_line
! grep -q "=wrong" "$T/err" || fail "the secret is printed"
# -- endpoint
expect 3 env AZURE_RESOURCE_MANAGER_ENDPOINT=https://127.0.0.1:9 "$FIXFLEET" list $azure; said "127.0.0.1:9"; one_line
expect 3 env -u CURL_CA_BUNDLE "$FIXFLEET" list $azure; said "certificate"; one_line
expect 2 "$FIXFLEET" list $azure --ca-file "$T/nothing.pem"; said "nothing.pem"; one_line
expect 3 "$FIXFLEET" list --provider azure --rg nosuch; said "nosuch"; one_line
# -- rescue
expect 3 "$FIXFLEET" $azure --rescue nosuch --yes --run-dir "$T/r1"; said "nosuch"
expect 3 "$FIXFLEET" $azure --name b-2 --yes --run-dir "$T/r1"; said "zone"
# -- the run folder
expect 3 "$FIXFLEET" $azure --name b-1 --yes --run-dir /proc/nowhere; said "/proc/nowhere"
mkdir -p "$T/locked"
(
	flock 9
	expect 3 "$FIXFLEET" $azure --name b-1 --yes --run-dir "$T/locked"
	said "$T/locked"
) 9>"$T/locked/lock"
# -- libguestfs cannot launch: known before anything is touched
expect 3 env LIBGUESTFS_HV=/nonexistent/qemu "$FIXFLEET" $azure --name b-1 --worker local --dev-root "$T/cloud/dev/{rescue}" --yes --run-dir "$T/r2"
said "libguestfs"
expect 3 "$FIXFLEET" $azure --name b-1 --worker ssh:nosuchhost.invalid --yes --run-dir "$T/r3"
said "nosuchhost.invalid"
# -- a journal that is none
mkdir -p "$T/garbled"
echo garbage >"$T/garbled/journal.jsonl"
echo garbage >>"$T/garbled/journal.jsonl"
expect 3 "$FIXFLEET" status "$T/garbled"; said "byte 0"
expect 2 "$FIXFLEET" status nosuchrun; said "nosuchrun"
# -- a run that was cut off when it had its plan: damaged, or begun by a newer program, it is not gone on with
"$FIXFLEET" $azure --name b-1 --worker local --dev-root "$T/cloud/dev/{rescue}" --yes --run-dir "$T/cut" >/dev/null 2>&1 </dev/null &
pid=$!
tries=0
until grep -qs '"k":"plan"' "$T/cut/journal.jsonl"; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || fail "no plan within 30 s"
	sleep 0.1
done
kill -9 $pid
wait $pid 2>/dev/null || true
not_gone_on_with() { # FOLDER WORDS
	cp "$T/$1/journal.jsonl" "$T/kept"
	expect 3 "$FIXFLEET" resume "$T/$1"; said "$2"; one_line
	cmp -s "$T/kept" "$T/$1/journal.jsonl" || fail "$1: its journal was changed"
}
mkdir -p "$T/flipped" "$T/newer" "$T/spliced"
sed '2s/azure/Azure/' "$T/cut/journal.jsonl" >"$T/flipped/journal.jsonl"
not_gone_on_with flipped "journal damaged at byte $(head -n 1 "$T/cut/journal.jsonl" | wc -c)"
mkdir -p "$T/begun" # cut off before its plan was durable: those VMs are not called done
sed 2q "$T/cut/journal.jsonl" >"$T/begun/journal.jsonl"
expect 1 "$FIXFLEET" resume "$T/begun"; said "0 of 1 selected VMs are in the journal"
expect 1 "$FIXFLEET" resume "$T/begun"
sed 2p "$T/cut/journal.jsonl" >"$T/spliced/journal.jsonl"
not_gone_on_with spliced "journal damaged at byte $(head -n 2 "$T/cut/journal.jsonl" | wc -c)"
run_record=$(sed -n '1s/"version":[0-9]*/"version":99/; 1s/,"sum":"[^"]*"}$//p' "$T/cut/journal.jsonl")
printf '%s,"sum":"%.16s"}\n' "$run_record" "$(printf %s "$run_record" | sha256sum)" >"$T/newer/journal.jsonl"
not_gone_on_with newer "is of version 99"
# -- nothing to do is no failure
expect 0 "$FIXFLEET" $azure --name 'x*' --yes --output json; json "$T/out" '.instances == []' "an empty result"

[ "$(mutations)" -eq 0 ] || fail "something was changed: $(jq -c 'select(.method != "GET") | [.method, .url]' "$O/traffic/$SIM_NAME.jsonl")"
no_violations
