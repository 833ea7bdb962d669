#!/bin/sh
# A VM that another run has claimed is left alone, and the operator is told whose it is; --take-over has it all the same.
# Of one that somebody has started a moment ago, and that may be booting, it is said.
. tests/e2e/lib

scenario '{}' '[]' "$(win free-1 bad.img)" \
	"$(win theirs-1 bad.img '{"tags":{"fixfleet-run":"20240719-060000-abc123","fixfleet-by":"eve@laptop"}}')" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
azure="--provider azure --rg prod"

expect 0 "$FIXFLEET" list $azure --output json
json "$T/out" '.[] | select(.name == "theirs-1") | .verdict == "skipped" and
	(.reason | test("claimed by run .20240719-060000-abc123. of eve@laptop"))' "whose it is"
json "$T/out" '.[] | select(.name == "free-1") | .verdict == "affected"' "the other one"
expect 3 "$FIXFLEET" $azure --name theirs-1 --yes --run-dir "$T/run"
said "claimed by run '20240719-060000-abc123' of eve@laptop"
[ "$(mutations)" -eq 0 ] || fail "something was changed"
[ ! -e "$T/run" ] || fail "a run was begun"

expect 0 "$FIXFLEET" list $azure --take-over --output json
json "$T/out" '.[] | select(.name == "theirs-1") | .verdict == "affected" and any(.hazards[]; test("claimed:.*will be taken over"))' "--take-over"

by_hand stop free-1
by_hand start free-1
expect 0 "$FIXFLEET" list $azure --output json
json "$T/out" '.[] | select(.name == "free-1") | .verdict == "affected" and (.reason | test("less than five minutes ago and may be booting"))' \
	"started by hand"
by_hand age free-1
expect 0 "$FIXFLEET" list $azure --output json
json "$T/out" '.[] | select(.name == "free-1") | .verdict == "affected" and (.reason | test("booting") | not)' "started long ago"
no_violations
