#!/bin/sh
# slow: BitLocker volumes, end to end. Opened by recovery password, by startup key and, suspended, by nothing; a wrong key and
# no key leave the VM on its own disk and say which protectors want one. A key is asked of a program, for the disk that
# needs it only. What was mended is read by another program (cryptsetup), and no key is found in anything left behind.
# (--all: the simulated cloud cannot see a bad file in an encrypted disk.)
. tests/e2e/lib

recovery=$(jq -r '.protectors[] | select(.kind == "recovery-password") | .key' build/images/bl-xts.img.keys)
startup=$(jq -r '.protectors[] | select(.kind == "startup-key") | .key' build/images/bl-xts.img.keys)
other=$(jq -r '.protectors[0].key' build/images/bl-cbc.img.keys)
other_id=$(jq -r '.protectors[0].id' build/images/bl-cbc.img.keys)
wrong=000011-000022-000033-000044-000055-000066-000077-000088
no_key_in() {
	! grep -rqaF -e "$recovery" -e "$startup" -e "$other" -e "$wrong" "$@" || fail "a key is in: $(grep -rlaF -e "$recovery" -e "$startup" -e "$other" -e "$wrong" "$@")"
}

scenario '{}' '[]' "$(win bl-name bl-xts.img)" "$(win bl-bek bl-xts.img)" "$(win bl-suspended bl-suspended.img)" \
	"$(win bl-wrong bl-cbc.img)" "$(win bl-none bl-cbc.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"

# a file that others can read is no place for keys; nothing is begun
printf 'bl-name,%s\n' "$recovery" >"$T/keys.csv"
chmod 644 "$T/keys.csv"
repair --all --keys "$T/keys.csv"
[ $status -eq 2 ] && said "chmod 600" || fail "a key file that others can read was taken"
[ "$(mutations)" -eq 0 ] || fail "something was changed"

# the program is asked for what the file does not have, and told which volume and which protectors
cat >"$T/vault" <<END
#!/bin/sh
cat >>"$T/vault.asked"
END
chmod 755 "$T/vault"
{
	printf 'vm,key\n'
	i=0
	while [ $i -lt 2000 ]; do # many keys, and the one that fits
		i=$((i + 1))
		printf '%08x-0000-0000-0000-000000000000,%s\n' $i "$wrong"
	done
	printf 'bl-name,%s\nBL-BEK,%s\nbl-wrong,%s\n' "$recovery" "$startup" "$wrong"
} >"$T/keys.csv"
chmod 600 "$T/keys.csv"
rm -rf "$T/run"
"$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes --all --output json -v \
	--keys "$T/keys.csv" --key-command "$T/vault --vm" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
# while it works: nothing in anybody's arguments or environment, nor in a core of the controller
tries=0
until grep -q 'found in --keys' "$T/err" && pgrep -P $pid >/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 3000 ] || { cat "$T/err"; fail "no key was asked for within 300 s"; }
	sleep 0.1
done
for process in $pid $(pgrep -P $pid) $(pgrep -g "$(pgrep -P $pid | head -n 1)"); do
	# one that has ended meanwhile has nothing to show
	{ tr '\0' '\n' <"/proc/$process/cmdline" >>"$T/arguments"; } 2>/dev/null || true
	{ tr '\0' '\n' <"/proc/$process/environ" >>"$T/environments"; } 2>/dev/null || true
done
[ -s "$T/arguments" ] || fail "no arguments were seen"
no_key_in "$T/arguments" "$T/environments"
if [ "$(id -u)" -eq 0 ] && command -v gcore >/dev/null && gcore -o "$T/core" $pid >/dev/null 2>&1; then
	grep -qaF bl-name "$T/core.$pid" || fail "that is no core of the controller"
	no_key_in "$T/core.$pid"
	rm -f "$T/core.$pid"
else
	echo "no core was taken (needs root and gcore)"
fi
status=0
wait $pid || status=$?
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
ended bl-name repaired
ended bl-bek repaired
ended bl-suspended repaired
ended bl-wrong failed-home "that key does not open"
ended bl-wrong failed-home "$other_id"
ended bl-none failed-home "no key was given"
ended bl-none failed-home "$other_id"
at_home bl-wrong
at_home bl-none
on_copy bl-name
on_copy bl-suspended
jq -se 'length == 1 and .[0].vm == "bl-none" and .[0].provider == "azure" and (.[0].protectors | any(.kind == "recovery-password"))' "$T/vault.asked" \
	>/dev/null || { cat "$T/vault.asked"; fail "the program was asked for something else"; }
jq -se --arg id "$other_id" '.[0].protectors[0].id == $id' "$T/vault.asked" >/dev/null || fail "the program was not told the protector"

# the program has it
cat >"$T/vault" <<END
#!/bin/sh
jq -r '.protectors[] | select(.kind == "recovery-password") | .id' | grep -q "$other_id" && cat "$T/other.key"
END
printf '%s\n' "$other" >"$T/other.key"
mv "$T/run" "$T/run1" && mv "$T/out" "$T/out1" && mv "$T/err" "$T/err1"
repair --all --key-command "$T/vault" --name bl-none
[ $status -eq 0 ] || { cat "$T/err"; fail "exit status $status, not 0"; }
ended bl-none repaired

# nothing is left, no promise broken but that --all stopped what seemed healthy
[ "$(sim_state '[.vms[] | select(.name | startswith("rescue")) | .data_disks | length] | add')" = 0 ] || fail "disks are left on a rescue VM"
[ -z "$(sim_state '.vms[] | select(.tags["fixfleet-run"] != null) | .name')" ] || fail "a claim is left"
no_violations_but "was healthy when it was asked"
(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"

# no key in what was left behind: journal, quarantine, output, log, what went over the wire
no_key_in "$T/run" "$T/run1" "$T/out" "$T/err" "$T/out1" "$T/err1" "$O/traffic/$SIM_NAME.jsonl" "$T/cloud"

# mended, and nothing else: seen by cryptsetup
copy=$(sim_state '.vms[] | select(.name == "bl-name") | .os_disk.image')
cp build/images/bl-xts.img.keys "$copy.keys"
tree build/images/bl-xts.img "$copy" >"$T/trees"
jq -cS --arg copy "$copy" 'select(.image != $copy) | del(.image)' "$T/trees" >"$T/before"
jq -cS --arg copy "$copy" 'select(.image == $copy) | del(.image)' "$T/trees" >"$T/after"
grep -q ntoskrnl.exe "$T/after" || fail "the mended disk cannot be read"
diff "$T/before" "$T/after" >"$T/difference" && fail "nothing was mended"
grep -q '^> ' "$T/difference" && { cat "$T/difference"; fail "something was added or changed"; }
[ "$(grep -c '^< ' "$T/difference")" -eq 1 ] && grep -q 'C-00000291-00000000-00000032.sys' "$T/difference" ||
	{ cat "$T/difference"; fail "something else is gone"; }
