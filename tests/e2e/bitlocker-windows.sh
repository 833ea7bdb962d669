#!/bin/sh
# slow: BitLocker volumes that Windows made: AES-XTS and AES-CBC, one opened with its startup key, keys found by protector id.
. tests/e2e/lib

made=$PWD/../shared/bitlocker
[ -f "$made/images.conf" ] || { echo "no volumes made by Windows beside this project (../shared/bitlocker)"; exit 77; }
command -v xz >/dev/null || { echo "needs xz"; exit 77; }

# conf IMAGE NAME: a value of images.conf
conf() {
	sed -n "/^\[$1\]/,/^\[/s/^$2=//p" "$made/images.conf" | head -n 1
}

# they are 100 MiB, and empty: an NTFS with a Windows is made inside, through cryptsetup
bad='[{"path":"Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000032.sys","mtime":"2024-07-19T04:09:00Z","bytes":41004,"seed":1}]'
for image in bitlk-aes-xts-128 bitlk-aes-cbc-256 bitlk-aes-xts-128-startup-key; do
	xz -dc "$made/$image.img.xz" >"$T/$image.volume"
	jq -cn --arg n "$image.img" --arg v "$T/$image.volume" --arg k "$(conf $image RP)" --argjson f "$bad" \
		'{name:$n, layout:"single", size_mib:101, bitlocker:{image:$v, key:$k}, files:$f}'
done | jq -s '{disks:.}' >"$T/spec.json"
"$MKDISKS" "$T/spec.json" "$T/images"

vm() {
	win "$1" x | jq -c --arg i "$T/images/$2.img" '.os_disk |= (del(.size_gib) + {image: $i, size_bytes: 105906176})'
}
scenario '{}' '[]' "$(vm w-xts bitlk-aes-xts-128)" "$(vm w-cbc bitlk-aes-cbc-256)" "$(vm w-bek bitlk-aes-xts-128-startup-key)" "$(rescue rescue-1)"
(umask 077 && {
	printf '%s,%s\n' "$(conf bitlk-aes-xts-128 RP_VMK_GUID)" "$(conf bitlk-aes-xts-128 RP)"
	printf '%s,%s\n' "$(conf bitlk-aes-cbc-256 RP_VMK_GUID | tr a-f A-F)" "$(conf bitlk-aes-cbc-256 RP)"
	guid=$(conf bitlk-aes-xts-128-startup-key SK_VMK_GUID)
	printf '{%s},%s\n' "$guid" "$(base64 -w 0 "$made/$(echo "$guid" | tr a-f A-F).BEK")"
} >"$T/keys.csv")
sim_start "$T/scenario.json" "$T/cloud"
repair --all --keys "$T/keys.csv"
[ $status -eq 0 ] || { cat "$T/err"; fail "exit status $status, not 0"; }
for name in w-xts w-cbc w-bek; do
	ended $name repaired
	on_copy $name
done
no_violations_but "was healthy when it was asked"

# seen by cryptsetup: the file is gone, and nothing else is different
while read -r name image; do
	copy=$(sim_state ".vms[] | select(.name == \"$name\") | .os_disk.image")
	for disk in "$T/images/$image.img" "$copy"; do
		jq -n --arg k "$(conf "$image" RP)" '{protectors:[{key:$k}]}' >"$disk.keys"
	done
	tree "$T/images/$image.img" "$copy" >"$T/trees"
	jq -cS --arg copy "$copy" 'select(.image != $copy) | del(.image)' "$T/trees" >"$T/before"
	jq -cS --arg copy "$copy" 'select(.image == $copy) | del(.image)' "$T/trees" >"$T/after"
	grep -q ntoskrnl.exe "$T/after" || fail "$name: its disk cannot be read"
	diff "$T/before" "$T/after" >"$T/difference" && fail "$name: nothing was mended"
	[ "$(grep -c '^[<>]' "$T/difference")" -eq 1 ] && grep -q '^< .*C-00000291-00000000-00000032.sys' "$T/difference" ||
		{ cat "$T/difference"; fail "$name: something else is different"; }
done <<END
w-xts bitlk-aes-xts-128
w-cbc bitlk-aes-cbc-256
END
