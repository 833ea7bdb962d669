#!/bin/sh
# slow: one fleet, each VM with another trouble of the cloud. All end mended; nothing is done twice, nothing is left over.
. tests/e2e/lib

faults='[
 {"match":{"method":"POST","path":"*/v-429/powerOff*","nth":1},"answer":{"status":429,"retry_after_s":2}},
 {"match":{"method":"POST","path":"*/v-500/powerOff*","nth":1},"answer":{"status":500}},
 {"match":{"method":"PATCH","path":"*/v-before","nth":1},"answer":{"reset":"before"}},
 {"match":{"method":"PATCH","path":"*/v-after","nth":2},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/v-start/start*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"PUT","path":"*/disks/*v-copy*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/attachDetachDataDisks*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/v-hang/powerOff*","nth":1},"answer":{"hang_ms":75000}},
 {"match":{"method":"GET","path":"*/v-trunc*","nth":3},"answer":{"truncate":true}}
]'
scenario '{}' "$faults" "$(win v-429 bad.img)" "$(win v-500 bad.img)" "$(win v-before bad.img)" "$(win v-after bad.img)" \
	"$(win v-start bad.img)" "$(win v-copy bad.img)" "$(win v-trunc bad.img)" "$(win v-hang bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair
for vm in v-429 v-500 v-before v-after v-start v-copy v-trunc v-hang; do
	ended $vm repaired
	on_copy $vm
done
[ $status -eq 0 ] || fail "exit status $status"
# the answer that never came is waited for a minute, then the cloud is asked what is true: the stop is not sent again
[ "$(jq -s '[.[] | select(.url | test("/v-hang/powerOff"))] | length' "$O/traffic/$SIM_NAME.jsonl")" = 1 ] || fail "v-hang was stopped again"
[ "$(copies)" -eq 8 ] || fail "$(copies) copies for 8 VMs: something was made twice"
grep -q '429 OperationNotAllowed.*again (1) in 2s' "$T/err" || fail "-v does not say what is repeated, how often and when"
tidy
