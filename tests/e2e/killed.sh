#!/bin/sh
# slow: killed with SIGKILL again and again, and gone on with, a story a cloud. The points are chosen by a seed, by records
# of the journal and by time; KILLED_SEED=N gives the same ones again, KILLED_CLOUDS="aws" only that cloud. In the end every
# VM is home and mended, attached as it was, and nothing is left over; no worker outlives the one that started it. The
# stories are told side by side, since appliances are what takes the time.
. tests/e2e/lib

clouds=${KILLED_CLOUDS:-azure aws gcp}
seed=${KILLED_SEED:-$(date +%N | sed 's/^0*//')}
kills_each=14 # a cloud, 40 and more in all
echo "KILLED_SEED=$seed"

# rnd N: the next of 0..N-1, in $r
rnd() {
	seed=$(((seed * 1103515245 + 12345) & 2147483647))
	r=$((seed / 65536 % $1))
}

bad=$PWD/build/images/bad.img
scenario_azure() {
	scenario '{"latency_ms":{"powerOff":300,"start":300,"vmPut":300,"diskCopy":300,"attach":300,"boot":500}}' '[]' \
		"$(win k-1 bad.img '{"tags":{"owner":"ops"},"os_disk":{"delete_option":"Delete","caching":"ReadOnly"}}')" \
		"$(win k-2 bad.img)" "$(win well good.img)" "$(rescue rescue-1)"
}
scenario_aws() {
	jq -n --arg bad "$bad" --arg good "$PWD/build/images/good.img" '{seed:1, aws:{vms:[
		{name:"k-1", tags:{owner:"ops"}, root:{device:"/dev/sda1", image:$bad, size_gib:1, delete_on_termination:true}},
		{name:"k-2", root:{device:"/dev/xvda", image:$bad, size_gib:1, delete_on_termination:false}},
		{name:"well", root:{image:$good, size_gib:1}},
		{name:"rescue-1", type:"m5.large", os:"Linux", tags:{"fixfleet-role":"rescue"}, root:{size_gib:8}}]}}' >"$T/scenario.json"
}
scenario_gcp() {
	jq -n --arg bad "$bad" --arg good "$PWD/build/images/good.img" '{seed:1, gcp:{project:"p1", vms:[
		{name:"k-1", labels:{owner:"ops"}, boot:{name:"k-1", device_name:"persistent-disk-0", auto_delete:true, image:$bad, size_gib:1}},
		{name:"k-2", boot:{name:"k-2", device_name:"other-name", auto_delete:false, image:$bad, size_gib:1}},
		{name:"well", boot:{image:$good, size_gib:1}},
		{name:"rescue-1", os:"Linux", labels:{"fixfleet-role":"rescue"}, boot:{size_gib:10}}]}}' >"$T/scenario.json"
}
scope_azure="--provider azure --rg prod"
scope_aws="--provider aws --region us-east-1"
scope_gcp="--provider gcp --project p1"

# look FILE: what must be in the end as it was at the beginning, of every VM
look() {
	curl -sS --cacert "$SIM_CA" "$SIM_URL/_sim/state" >"$1.state"
	jq -S '[(.azure, .aws, .gcp) | .vms[]? | {name, power, tags, labels, data_disks, agent,
		os_disk: (.os_disk | if . then {caching, delete_option} else null end),
		root: (.root | if . then {volume, device, status, delete_on_termination} else null end),
		boot: (.boot | if . then {disk, device_name, auto_delete, mode, interface} else null end)}
		| if .name == "k-1" or .name == "k-2" then del(.agent) else . end]' "$1.state" >"$1"
}

records() {
	if [ -e "$journal" ]; then wc -l <"$journal"; else echo 0; fi
}

# planned: how many VMs the journal names; one that is not begun is planned anew by each life
planned() {
	grep -o '"k":"plan","vm":[0-9]*' "$journal" 2>/dev/null | sort -u | wc -l
}

# start COMMAND...: the next life, in $pid
start() {
	life=$((life + 1))
	KILLED_LIFE="$T $cloud $life" "$@" >"$T/out" 2>>"$T/err" </dev/null &
	pid=$!
}

# gone LIFE: its worker and the worker's appliance end by themselves; what does not is named in $T/left
gone() {
	tries=0
	while left=$(grep -lszx "KILLED_LIFE=$T $cloud $1" /proc/[0-9]*/environ); do
		tries=$((tries + 1))
		if [ $tries -gt 100 ]; then
			for p in $left; do tr '\0' ' ' <"${p%/environ}/cmdline"; echo; done >>"$T/left"
			return
		fi
		sleep 0.2
	done
}

# until_record N DELAY: kill it when the journal has N records, and DELAY seconds later where a disk is being mended. Once a
# story was killed there, that is put off to the end of the repair: each time costs two appliances.
until_record() {
	tail -s 0.05 --pid=$pid -n +1 -F "$journal" 2>/dev/null | {
		n=0 open=0
		while IFS= read -r line; do
			n=$((n + 1))
			case $line in
			*'"k":"resume"'*) open=0 ;;
			*'"k":"job"'*) open=$((open + 1)) ;;
			*'"k":"done"'*) open=$((open - 1)) ;;
			esac
			[ $n -lt "$1" ] || { [ $open -gt 0 ] && [ $mending -gt 0 ]; } || break
		done
		[ $open -le 0 ] || { echo mending >"$T/mending" && sleep "$2"; }
		kill -9 $pid 2>/dev/null
	}
}

# live COMMAND...: one life up to its kill. False: it came to its end by itself. A story has 90 records and more; the
# kills that are left are spread over what is left of it.
live() {
	before=$(records)
	start "$@"
	average=$(((90 - before) / (kills_each - kills)))
	[ $average -ge 2 ] || average=2
	rnd 5
	if [ $r -eq 0 ]; then
		rnd 80
		sleep "0.$((r + 10))"
		kill -9 $pid 2>/dev/null
	else
		rnd 80
		delay=$r
		rnd $((2 * average - 1))
		until_record $((before + 1 + r)) $((delay / 10)).$((delay % 10))
	fi
	status=0
	wait $pid 2>/dev/null || status=$?
	[ $status -eq 137 ]
}

# expect_end: every VM is home and mended
expect_end() {
	[ ! -e "$T/left" ] || { cat "$T/left"; fail "these outlived their fixfleet"; }
	json "$T/out" '[.instances[] | select(.outcome == "repaired") | .name] | sort == ["k-1","k-2"]' "both are repaired"
	json "$T/out" 'all(.instances[]; .removed | length == 1)' "what was removed is known, whoever removed it"
	look "$T/after"
	diff -u "$T/before" "$T/after" || fail "$cloud: a VM is not as it was"
	json "$T/after.state" '.violations == []' "no promise is broken"
	json "$T/after.state" '[(.azure, .aws, .gcp) | .vms[]? | select(.name == "k-1" or .name == "k-2") | .bad] == [false, false]' "both disks are mended"
	json "$T/after.state" '[(.azure, .aws, .gcp) | .vms[]? | select(.name == "well") | .stops] == [0]' "the healthy VM was not stopped"
	json "$T/after.state" '[(.azure, .aws, .gcp) | (.snapshots // [])[], ((.disks // [])[] | select(.created_by_run))] | length == 2' "one backup or copy each"
	(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"
	! grep -qE 'secret-that-must-never-show|Bearer |eyJ' "$journal" "$T/err" || fail "a secret is in the journal or the log"
	size=$(wc -c <"$journal") # once more: nothing is done
	expect 0 "$FIXFLEET" resume "$T/run"
	[ "$(wc -c <"$journal")" -eq "$size" ] || fail "resuming a finished run wrote into its journal"
}

# story CLOUD NUMBER: in a subshell, a folder and a cloud of its own
story() (
	cloud=$1
	T=$T/$cloud
	SIM_NAME=e2e-$NAME.$cloud
	seed=$((seed + $2))
	began=$(date +%s)
	life=0 kills=0 mending=0
	journal=$T/run/journal.jsonl
	trap 'sim_stop' EXIT
	rm -rf "$T"
	mkdir -p "$T"
	scenario_"$cloud"
	eval "scope=\$scope_$cloud"
	sim_start "$T/scenario.json" "$T/cloud" --time-scale 20
	look "$T/before"
	while [ $kills -lt $kills_each ]; do
		if [ "$(planned)" -eq 2 ]; then
			live "$FIXFLEET" resume "$T/run" -v || break
		else # killed before it was known what is to be done: nothing was begun
			rm -rf "$T/run"
			# shellcheck disable=SC2086
			live "$FIXFLEET" $scope --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --no-canary --yes -v || break
		fi
		kills=$((kills + 1))
		[ ! -e "$T/mending" ] || mending=1
		gone $life &
	done
	start "$FIXFLEET" resume "$T/run" --output json -v
	status=0
	wait $pid || status=$?
	[ $status -eq 0 ] || { tail -n 40 "$T/err"; fail "$cloud: exit status $status after $kills kills"; }
	gone $life
	expect_end
	echo $kills >>"$T/../kills"
	echo "$cloud: $kills kills, $(records) records, $(($(date +%s) - began)) s"
)

number=0 stories=
for cloud in $clouds; do
	number=$((number + 1))
	story "$cloud" $number >"$T/$cloud.log" 2>&1 &
	stories="$stories $!:$cloud"
done
failed=0
for one in $stories; do
	wait "${one%:*}" || failed=1
	cat "$T/${one#*:}.log"
done
[ $failed -eq 0 ] || fail "KILLED_SEED=$seed shows it again"
total() {
	awk '{ n += $1 } END { print n }' "$T/kills"
}
while [ -z "${KILLED_CLOUDS:-}" ] && [ "$(total)" -lt 40 ]; do # some came to their end before all their kills
	number=$((number + 1))
	story gcp $number
done
echo "$(total) kills"
