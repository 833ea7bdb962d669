#!/bin/sh
# slow: keys that Azure itself has. A disk of Azure Disk Encryption is opened with its startup key out of the key vault,
# unwrapped there, and another with a recovery password of Microsoft Graph; each is asked only for what it serves, with a
# token of its own. Where the vault refuses, or the record names something that is no vault, the VM keeps its disk and the
# reason is told. No key is found in anything left behind.
. tests/e2e/lib

recovery=$(jq -r '.protectors[] | select(.kind == "recovery-password") | .key' build/images/bl-xts.img.keys)
startup=$(jq -r '.protectors[] | select(.kind == "startup-key") | .key' build/images/bl-xts.img.keys)
startup_id=$(jq -r '.protectors[] | select(.kind == "startup-key") | .id' build/images/bl-xts.img.keys)
other=$(jq -r '.protectors[0].key' build/images/bl-cbc.img.keys)
other_id=$(jq -r '.protectors[0].id' build/images/bl-cbc.img.keys)
# startup keys of other GUIDs: of secrets of their own
rekey() {
	printf '%s' "$startup" | base64 -d >"$T/bek"
	printf '%s' "$1" | dd of="$T/bek" bs=1 seek=16 conv=notrunc 2>/dev/null
	base64 -w 0 "$T/bek"
}
denied=$(rekey AAAAAAAAAAAAAAAA)
strange=$(rekey BBBBBBBBBBBBBBBB)
ade() {
	win "$1" bl-xts.img "$(jq -cn --arg bek "$2" --argjson more "${3:-{\}}" '{ade:"single", ade_bek:$bek} + $more')"
}
scenario "$(jq -cn --arg id "$other_id" --arg key "$other" '{graph_keys:{($id):$key},
	deny:[{action:"Microsoft.KeyVault/vaults/secrets/getSecret/action", scope:"*/secrets/41414141-*"}]}')" '[]' \
	"$(ade ade-kek "$startup" '{"ade_kek":"RSA-OAEP"}')" "$(ade ade-plain "$startup")" "$(win graph-1 bl-cbc.img)" \
	"$(ade ade-file "$startup")" "$(ade ade-denied "$denied")" "$(ade ade-strange "$strange")" \
	"$(ade ade-elsewhere "$startup" '{"ade_url":"https://localhost:{port}/secrets/x/y"}')" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"

expect 0 "$FIXFLEET" list --provider azure --rg prod --output json
json "$T/out" '.[] | select(.name == "ade-kek") | .os_disk.encryption == "ade" and .verdict != "skipped"' "the plan says whose key is asked for"
expect 2 "$FIXFLEET" --provider aws --region us-east-1 --key-graph --yes
said "--key-graph is for azure"

(umask 077 && printf 'ade-file,%s\n' "$recovery" >"$T/keys.csv")
"$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes --no-canary --output json -v \
	--all --keys "$T/keys.csv" --key-graph >"$T/out" 2>"$T/err" </dev/null &
pid=$!
# while it works, just after keys came out of vault and Graph: nothing in a core, in arguments or environments
tries=0
until grep -q 'found in Azure Disk Encryption' "$T/err" && grep -q 'found in --key-graph' "$T/err"; do
	tries=$((tries + 1))
	[ $tries -lt 3000 ] || { cat "$T/err"; fail "no key was found within 300 s"; }
	sleep 0.1
done
for process in $pid $(pgrep -P $pid); do
	{ tr '\0' '\n' <"/proc/$process/cmdline" >>"$T/seen"; tr '\0' '\n' <"/proc/$process/environ" >>"$T/seen"; } 2>/dev/null || true
done
grep -q key-graph "$T/seen" || fail "no arguments were seen"
if nm "$FIXFLEET" 2>/dev/null | grep -q __asan_init || [ "$(id -u)" -ne 0 ] || ! command -v gcore >/dev/null ||
	! gcore -o "$T/core" $pid >/dev/null 2>&1; then
	echo "no core was taken (needs root, gcore, and no sanitizers)"
else
	grep -qaF graph-1 "$T/core.$pid" || fail "that is no core of the controller"
fi
status=0
wait $pid || status=$?
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
for name in ade-kek ade-plain graph-1 ade-file; do
	ended $name repaired
	on_copy $name
done
said "key of volume"
said "found in Azure Disk Encryption"
said "found in --key-graph"
ended ade-denied failed-home "Azure Disk Encryption: Key Vault refuses the secret (HTTP 403, ForbiddenByRbac): secrets/get is needed"
ended ade-strange failed-home "of protector 42424242-4242-4242-4242-424242424242, which this volume does not have"
ended ade-elsewhere skipped "no key vault of this cloud"
at_home ade-denied
at_home ade-strange
at_home ade-elsewhere
# the swap keeps the record, and the disks that the vault was not needed for did not ask it
[ "$(sim_state '.requests["vault secret"]')" = 4 ] || fail "the vault was asked $(sim_state '.requests["vault secret"]') times"
[ "$(sim_state '.requests["vault unwrapkey"]')" = 1 ] || fail "unwrapped $(sim_state '.requests["vault unwrapkey"]') times"
[ "$(sim_state '[.vms[] | select(.name | startswith("rescue")) | .data_disks | length] | add')" = 0 ] || fail "disks are left on a rescue VM"
no_violations_but "was healthy when it was asked"
(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"

# no key in journal, quarantine, output, log, arguments and core; as text, as the vault writes it, and as bytes
printf '%s' "$startup" | tr -d = | tr +/ -_ >"$T/urlsafe"
for secret in "$recovery" "$startup" "$other" "$denied" "$strange" "$(cat "$T/urlsafe")"; do
	for place in "$T/run" "$T/out" "$T/err" "$T/cloud" "$T/seen" "$T"/core.*; do
		! grep -rsqaF -e "$secret" "$place" || fail "a key is in: $(grep -rlaF -e "$secret" "$place")"
	done
done
rm -f "$T"/core.*
grep -rqaF "$startup_id" "$T/run" || fail "nothing of the run was looked through"
