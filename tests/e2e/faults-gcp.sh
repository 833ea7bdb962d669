#!/bin/sh
# slow: one fleet on GCP, trouble in most calls. Each boot disk comes home as it was attached; a failed operation gets a new request id.
. tests/e2e/lib

KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=
HASH=$(printf %s $KEY | base64 -d | openssl dgst -sha256 -binary | base64)
jq -cn --arg k $KEY '[{uri:"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/disks/g-key-boot", key:$k, "key-type":"raw"}]' >"$T/keys"
faults='[
 {"match":{"method":"POST","path":"*/g-quota/stop","nth":1},"answer":{"status":403,"code":"rateLimitExceeded"}},
 {"match":{"method":"POST","path":"*/g-labels/setLabels","nth":1},"answer":{"status":412,"code":"conditionNotMet"}},
 {"match":{"method":"POST","path":"*/g-labels/setLabels","nth":2},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/g-again/start","nth":1},"answer":{"operation_fails":{"code":"RESOURCE_NOT_READY","message":"The resource is not ready"}}},
 {"match":{"method":"POST","path":"*/g-again/stop","nth":1},"answer":{"status":503}},
 {"match":{"method":"POST","path":"*/g-lost/detachDisk*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/g-lost/attachDisk*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/rescue-g/attachDisk*","nth":1},"answer":{"reset":"before"}},
 {"match":{"method":"POST","path":"*/rescue-g/detachDisk*","nth":2},"answer":{"operation_fails":{"code":"RESOURCE_NOT_READY","message":"The resource is not ready"}}},
 {"match":{"method":"POST","path":"*/g-lost-boot/createSnapshot*","nth":1},"answer":{"reset":"after"}},
 {"match":{"method":"POST","path":"*/operations/*/wait","nth":3},"answer":{"truncate":true}}
]'
# all that the cloud knows to ask for and docs/gcp-role.yaml does not grant is denied: the role is enough
deny=$(grep -oh 'C "[a-zA-Z.]*"\|"compute\.[a-zA-Z.]*"' tests/cloudsim/gcp*.c | sed 's/^C "/compute./; s/"//g' | sort -u |
	grep -vxF "$(sed -n 's/^- //p' docs/gcp-role.yaml)" | grep '\..*\.' | jq -Rn '[inputs | {permission:.}]')
cloud_scenario gcp "$(jq -n --argjson deny "$deny" '{loses_auto_delete:true, deny:$deny}')" "$faults" "$(gcp_win g-quota bad.img)" "$(gcp_win g-labels bad.img '{"labels":{"owner":"ops"}}')" \
	"$(gcp_win g-again bad.img '{"boot":{"device_name":"sda","auto_delete":false}}')" "$(gcp_win g-lost bad.img)" \
	"$(gcp_win g-key bad.img "{\"boot\":{\"csek_sha256\":\"$HASH\"},\"local_ssd\":1}")" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud"
mend --provider gcp --project p1 --csek-key-file "$T/keys" --discard-local-ssd
[ $status -eq 0 ] || { cat "$T/err"; fail "exit status $status"; }
for vm in g-quota g-labels g-again g-lost g-key; do
	ended $vm repaired
	state ".gcp.vms[] | select(.name == \"$vm\") | .power == \"running\" and .bad == false and .own_disk and .stops == 1 and .boot.mode == \"READ_WRITE\"" "$vm is up on its own disk"
done
state '[.gcp.vms[] | select(.name | startswith("g-")) | {(.name): [.boot.device_name, .boot.auto_delete]}] | add == {"g-again":["sda",false],
	"g-key":["persistent-disk-0",true],"g-labels":["persistent-disk-0",true],"g-lost":["persistent-disk-0",true],"g-quota":["persistent-disk-0",true]}' "attached as before"
state '[.gcp.vms[] | select(.name == "g-labels" or .name == "g-quota") | .labels] == [{}, {"owner":"ops"}]' "their own labels only"
state '(.gcp.snapshots | length) == 5 and ([.gcp.disks[] | select(.labels["fixfleet-run"] != null)] | length) == 0' "one snapshot a disk, no claim left"
state '[.gcp.vms[] | select(.name == "rescue-g") | .data_disks | length] == [0]' "nothing is left on the rescue VM"
state '.violations == []' "no promise is broken"
grep -q 'g-lost/setDiskAutoDelete?autoDelete=true' "$O/traffic/$SIM_NAME.jsonl" || fail "the flag was not set again"
# 403 was throttling, not a refusal; every request id is used once, but by repeats of the same request
grep -q 'g-quota.*rateLimitExceeded.*again (1) in' "$T/err" || fail "-v does not say that it was throttled"
jq -r 'select(.url | contains("/g-again/start")) | .url | sub(".*requestId="; "")' "$O/traffic/$SIM_NAME.jsonl" >"$T/ids"
[ "$(wc -l <"$T/ids")" -eq 2 ] && [ "$(sort -u "$T/ids" | wc -l)" -eq 2 ] || fail "the failed start was asked again with its old id: $(cat "$T/ids")"
! grep -rq "$KEY" "$T/run" "$T/out" "$T/err" || fail "a key is in journal, output or log"
