# Sourced by every end-to-end test: tests/lib.sh, a scratch folder, a builder of scenarios.
set -eu
. tests/lib.sh
NAME=$(basename "$0" .sh)
SIM_NAME=e2e-$NAME
T=$PWD/$O/e2e/$NAME
trap 'sim_stop' EXIT
for tool in jq curl; do
	command -v $tool >/dev/null || { echo "needs $tool"; exit 77; }
done
for variable in $(env | sed -n 's/^\(\(AZURE\|MSI\|IDENTITY\|FIXFLEET\)_[A-Z_]*\)=.*/\1/p'); do
	unset "$variable"
done

# win NAME IMAGE [MERGE]: a running Windows VM in prod, zone 1, whose OS disk is that shared image
win() {
	jq -cn --arg n "$1" --arg i "$PWD/build/images/$2" --argjson more "${3:-{\}}" \
		'{name:$n, group:"prod", location:"westeurope", zone:"1", size:"Standard_D2s_v3", os:"Windows", generation:"V2",
		  power:"running", os_disk:{name:($n+"-os"), image:$i, size_gib:1, sku:"Premium_LRS"}} * $more'
}

# rescue NAME [MERGE]: a Linux rescue VM in prod, zone 1
rescue() {
	jq -cn --arg n "$1" --argjson more "${2:-{\}}" \
		'{name:$n, group:"prod", location:"westeurope", zone:"1", size:"Standard_D4s_v3", os:"Linux", generation:"V2",
		  power:"running", tags:{"fixfleet-role":"rescue"}, os_disk:{name:($n+"-os"), size_gib:30, sku:"Premium_LRS"}} * $more'
}

# scenario MERGE FAULTS VM...: write $T/scenario.json; quick latencies, so that waiting is fixfleet's own
scenario() {
	merge=$1 faults=$2
	shift 2
	printf '%s\n' "$@" | jq -s --argjson merge "$merge" --argjson faults "$faults" --arg sub "$SUB" \
		'{seed:1, azure:({subscription:$sub, tenant:"11111111-1111-1111-1111-111111111111",
		  client_id:"22222222-2222-2222-2222-222222222222", client_secret:"e2e~secret-that-must-never-show", page_size:3,
		  groups:["prod"], latency_ms:{powerOff:500, start:500, vmPut:500, diskCopy:300, attach:500, boot:1500}, retry_after_s:{vm:1, disk:1},
		  vms:.} * $merge), faults:$faults}' >"$T/scenario.json"
}

# repair OPTION...: the usual command line; output to $T/out and $T/err, its exit status in $status
repair() {
	status=0
	rm -rf "$T/run"
	"$FIXFLEET" --provider azure --rg prod --worker local --dev-root "$T/cloud/dev/{rescue}" --run-dir "$T/run" --yes \
		--output json -v "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
}

# outcome VM: from the last repair's JSON
outcome() {
	jq -r --arg n "$1" '.instances[] | select(.name == $n) | .outcome' "$T/out"
}
reason() {
	jq -r --arg n "$1" '.instances[] | select(.name == $n) | .reason' "$T/out"
}

# ended VM OUTCOME [REASON-PART]
ended() {
	[ "$(outcome "$1")" = "$2" ] || { cat "$T/err"; jq . "$T/out"; fail "$1 ended $(outcome "$1"), not $2: $(reason "$1")"; }
	case $(reason "$1") in
	*"${3:-}"*) ;;
	*) fail "$1: the reason is '$(reason "$1")', it does not say '$3'" ;;
	esac
}

# at_home VM: running, with its original OS disk
at_home() {
	[ "$(sim_state ".vms[] | select(.name == \"$1\") | \"\(.power) \(.os_disk.id | split(\"/\") | last)\"")" = "running $1-os" ] ||
		fail "$1 is not running on its own disk: $(sim_state ".vms[] | select(.name == \"$1\")")"
}

# on_copy VM: running, with a mended copy as OS disk, no longer looping
on_copy() {
	[ "$(sim_state ".vms[] | select(.name == \"$1\") | .power == \"running\" and .bad == false and (.os_disk.id | endswith(\"/$1-os\") | not)")" = true ] ||
		fail "$1 is not running on a mended copy: $(sim_state ".vms[] | select(.name == \"$1\")")"
}

# tidy: nothing is left on the rescue VMs, no claim on any VM, no broken promise, images untouched
tidy() {
	[ "$(sim_state '[.vms[] | select(.name | startswith("rescue")) | .data_disks | length] | add')" = "${1:-0}" ] ||
		fail "disks are left on a rescue VM"
	[ -z "$(sim_state '.vms[] | select(.tags["fixfleet-run"] != null) | .name')" ] || fail "a claim is left"
	no_violations
	(cd build/images && stat -c '%n %s %y' ./*.img | cmp -s - made) || fail "an original image was written"
}

# copies: how many disks of the run exist
copies() {
	sim_state '[.disks[] | select(.tags["fixfleet-run"] != null)] | length'
}
