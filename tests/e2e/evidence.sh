#!/bin/sh
# --evidence keeps what can be seen of sick VMs from outside in the run folder, and nothing of it in output or log.
. tests/e2e/lib

scenario '{}' '[]' "$(win z-bad '' | jq -c 'del(.os_disk.image) | .os_disk.bad = true')" "$(rescue rescue-z)"
mv "$T/scenario.json" "$T/azure.json"
cloud_scenario aws '{"deny":[{"action":"ec2:GetConsoleScreenshot"}]}' '[]' "$(aws_win a-bad '')" "$(aws_win a-good '' '{"root":{"bad":false}}')" "$(aws_rescue rescue-a)"
mv "$T/scenario.json" "$T/aws.json"
cloud_scenario gcp '{}' '[]' "$(gcp_win g-bad '' '{"display":true}')" "$(gcp_win g-blind '')" "$(gcp_win g-good '' '{"boot":{"bad":false}}')" "$(gcp_rescue rescue-g)"
jq -s 'add' "$T/azure.json" "$T/aws.json" "$T/scenario.json" >"$T/all.json"
sim_start "$T/all.json" "$T/cloud" --time-scale 20
clouds="--provider azure --rg prod --provider aws --region us-east-1 --provider gcp --project p1"

expect 2 "$FIXFLEET" list $clouds --evidence; said "--run-dir"
expect 0 "$FIXFLEET" list $clouds --run-dir "$T/none" -v -v
[ ! -e "$T/none" ] || fail "a folder without --evidence"
expect 0 "$FIXFLEET" list $clouds --evidence --run-dir "$T/seen" -v -v --output json
said "a-bad: evidence is incomplete"; said "ec2:GetConsoleScreenshot"; said "6 files of 4 VMs"
[ "$(cd "$T/seen/evidence" && ls ./*/* | sed 's/-[0-9a-f]\{12\}//' | tr '\n' ' ')" = \
	"./a-bad/console.txt ./g-bad/screen.png ./g-bad/serial.txt ./g-blind/serial.txt ./z-bad/screen.bmp ./z-bad/serial.txt " ] ||
	fail "what is kept: $(cd "$T/seen" && find . -type f)"
grep -q 'BugCheck.*csagent.sys' "$T"/seen/evidence/a-bad-*/console.txt || fail "the console's text"
grep -q 'BdsDxe: starting Boot' "$T"/seen/evidence/g-bad-*/serial.txt || fail "the serial port's text"
[ "$(head -c 4 "$T"/seen/evidence/g-bad-*/screen.png | od -An -tx1 | tr -d ' ')" = 89504e47 ] || fail "the screen is no PNG"
[ "$(stat -c %a "$T"/seen/evidence "$T"/seen/evidence/*/* | sort -u | tr '\n' ' ')" = "600 700 " ] || fail "others can read it"
# nothing of it in output or log, nor the URL that opens a blob
! grep -qE 'csagent|BdsDxe|iVBOR|c2VjcmV0|sig=' "$T/out" "$T/err" || fail "evidence is in output or log"
[ "$(grep -c . "$T/err")" -lt 200 ] || fail "the log is full of something"
# the same names with --dry-run; again is no error
expect 0 "$FIXFLEET" $clouds --dry-run --evidence --run-dir "$T/seen"
[ "$(find "$T/seen" -type f | wc -l)" -eq 6 ] || fail "not the same files: $(find "$T/seen" -type f)"
no_violations
sim_stop

# Ctrl-C while it is gathered: nothing was changed
cloud_scenario aws '{}' '[{"match":{"body":"Action=GetConsoleOutput*"},"answer":{"hang_ms":30000}}]' "$(aws_win a-bad '')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
"$FIXFLEET" --provider aws --region us-east-1 --evidence --run-dir "$T/run" --yes >"$T/out" 2>"$T/err" </dev/null &
pid=$!
tries=0
until sim_state '.requests | keys[]' | grep -q GetConsoleOutput; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "evidence is not asked for within 10 s"
	sleep 0.1
done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 130 ] || { cat "$T/err"; fail "exit status $status, not 130"; }
said "nothing was changed"
state '[.aws.vms[].stops] | add == 0' "something was stopped"
no_violations
