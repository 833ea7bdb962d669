#!/bin/sh
# The main story: one bad VM, one that only looks bad, one healthy, one Linux. JSON output as scripts read it.
. tests/e2e/lib

scenario '{}' '[]' "$(win bad-1 bad.img '{"tags":{"owner":"ops"}}')" "$(win clean-1 good.img '{"agent":"not-ready"}')" \
	"$(win healthy-1 good.img)" "$(win lin-1 linux.img '{"os":"Linux"}')" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"

# list says what is affected and sends nothing but reading requests
"$FIXFLEET" list --provider azure --rg prod --output json >"$T/list" 2>"$T/err"
json "$T/list" 'length == 5' "list shows every VM in scope"
json "$T/list" 'all(.[]; (keys == ["evidence","hazards","id","name","os","os_disk","provider","reason","scope","state","verdict","zone"])
	and (.os_disk | keys == ["encryption","id","size_gib"]))' "list has exactly the members that scripts rely on"
json "$T/list" '[.[] | {(.name): .verdict}] | add == {"bad-1":"affected","clean-1":"affected","healthy-1":"healthy","lin-1":"skipped","rescue-1":"skipped"}' "verdicts"
"$FIXFLEET" --provider azure --rg prod --dry-run --output json >"$T/list2" 2>>"$T/err"
# the same but for the time at which an agent spoke last: a healthy one speaks every few seconds
untimed() {
	sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|\+00:00)/TIME/g' "$1" >"$1.untimed"
}
untimed "$T/list"
untimed "$T/list2"
diff "$T/list.untimed" "$T/list2.untimed" || fail "--dry-run is not the same as list"
[ "$(mutations)" -eq 0 ] || fail "listing changed something"

repair
[ $status -eq 0 ] || { cat "$T/err"; fail "exit status $status"; }
json "$T/out" 'keys == ["instances","run","run_dir","totals"]' "members of the result"
json "$T/out" 'all(.instances[]; keys == ["id","name","outcome","provider","reason","removed","seconds"])' "members of an instance"
ended bad-1 repaired
ended clean-1 clean
json "$T/out" '.instances[] | select(.name == "bad-1") | .removed | length == 1 and (.[0] |
	(.path | ascii_downcase | endswith("/crowdstrike/c-00000291-00000000-00000032.sys")) and .size == 41004 and
	.mtime == "2024-07-19T04:09:00Z" and (.sha256 | length == 64))' "what was removed"
json "$T/out" '.totals.repaired == 1 and .totals.clean == 1 and .totals.selected == 2' "totals"
on_copy bad-1
at_home clean-1
[ "$(sim_state '.vms[] | select(.name == "healthy-1" or .name == "lin-1") | .stops' | sort -u)" = 0 ] || fail "a healthy VM was stopped"
[ "$(sim_state '.vms[] | select(.name == "bad-1") | .tags.owner')" = ops ] || fail "the VM's own tags are gone"
[ "$(copies)" -eq 1 ] || fail "the clean VM's copy is left over"
tidy

# the removed file is in quarantine with its hash
kept=$(find "$T/run/quarantine" -name '*.sys')
[ "$(sha256sum <"$kept" | cut -d' ' -f1)" = "$(jq -r '.instances[].removed[].sha256' "$T/out")" ] || fail "quarantine holds something else"

# status tells the same from the journal, with the cloud gone
sim_stop
"$FIXFLEET" status "$T/run" --output json >"$T/status" 2>>"$T/err"
json "$T/status" '[.instances[] | {(.name): .outcome}] | add == {"bad-1":"repaired","clean-1":"clean"}' "status"
[ "$(jq -r .run "$T/status")" = "$(jq -r .run "$T/out")" ] || fail "status speaks of another run"

# no secret anywhere in what the run left behind
! grep -rqE 'secret-that-must-never-show|Bearer |eyJ' "$T/run" "$T/out" "$T/err" || fail "a secret is in journal, output or log"
