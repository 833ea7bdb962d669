#!/bin/sh
# slow: disks of this machine without any cloud: scan says what it would do, repair does it, list says what there is; every
# format of image, BitLocker in a raw and in a qcow2 one; what is in use is left alone.
. tests/e2e/lib
command -v qemu-img >/dev/null || { echo "needs qemu-img"; exit 77; }

images=$PWD/build/images
mkdisks=$PWD/$O/mkdisks
BAD=C-00000291-00000000-00000032.sys

# -- the command line
expect 2 "$FIXFLEET" disk; said "scan, repair or list"
expect 2 "$FIXFLEET" disk scan; said "needs"
expect 2 "$FIXFLEET" disk scan "$T/nothing.img"; said "nothing.img"
expect 2 "$FIXFLEET" disk repair "$T"; said "neither"
expect 2 "$FIXFLEET" disk scan --recipe nosuch "$images/bad.img"; said "unknown recipe 'nosuch'"
printf '{"name":"x",\n "os":"windows",\n "files":[{"where":"a/b","when":{"mtime_from":"soon"},"action":"remove"}]}' >"$T/bad.json"
expect 2 "$FIXFLEET" disk scan --recipe "$T/bad.json" "$images/bad.img"
said "line 3 column 34: files/0/when/mtime_from: not a time"
expect 2 "$FIXFLEET" recipes check "$T/bad.json"; said "line 3 column 34"
expect 0 "$FIXFLEET" recipes check docs/recipes/*.json
expect 0 "$FIXFLEET" recipes; grep -q '^crowdstrike-291-txr' "$T/out"
"$FIXFLEET" recipes show crowdstrike-291-txr >"$T/txr.json"
expect 0 "$FIXFLEET" recipes check "$T/txr.json"

# -- one bad disk in every format, a good one, a Linux one; the originals are only read
qemu-img convert -O vpc -o subformat=fixed "$images/bad.img" "$T/fixed.vhd"
qemu-img convert -O vpc "$images/bad.img" "$T/dynamic.vhd"
qemu-img convert -O vhdx "$images/bad.img" "$T/disk.vhdx"
qemu-img convert -O vmdk "$images/bad.img" "$T/disk.vmdk"
qemu-img convert -O qcow2 "$images/bad.img" "$T/disk.qcow2"
cp --sparse=always "$images/bad.img" "$T/raw.img"
cp --sparse=always "$images/good.img" "$T/good.img"
qemu-img create -q -f qcow2 -b "$T/raw.img" -F raw "$T/overlay.qcow2"
formats="fixed.vhd dynamic.vhd disk.vhdx disk.vmdk disk.qcow2 raw.img"
(cd "$T" && sha256sum $formats good.img >before)
loop=$(losetup -f --show "$T/good.img" 2>/dev/null) || loop= # needs root and loop devices
attached=$loop
trap 'test -z "$loop" || losetup -d "$loop"; sim_stop' EXIT

# -- what this machine uses is left alone, and so is what cannot be written; no appliance is needed to see that
cd "$T"
if [ -n "$loop" ]; then
	expect 1 "$FIXFLEET" disk repair good.img; said "in use as $loop"
	losetup -d "$loop"
	loop=$(losetup -r -f --show "$T/good.img")
	expect 1 "$FIXFLEET" disk repair "$loop"; said "is read-only"
	losetup -d "$loop"
	truncate -s 64M other.img
	mkfs.ext4 -q other.img
	mkdir -p mounted
	loop=$(losetup -f --show "$T/other.img")
	if mount "$loop" mounted; then
		expect 1 "$FIXFLEET" disk repair "$loop"; said "is mounted on this machine"
		umount mounted
	fi
	losetup -d "$loop"
	loop=$(losetup -f --show "$T/good.img")
fi

expect 1 "$FIXFLEET" disk scan $formats "$images/linux.img" overlay.qcow2 ${loop:+good.img} --output json
if [ -n "$loop" ]; then
	losetup -d "$loop"
	loop=
fi
sha256sum --quiet -c before || fail "a scan wrote"
json "$T/out" '[.instances[] | select(.outcome == "affected")] | length == 6 and all(.[]; .would | length == 1 and
	(.[0] | startswith("remove ") and contains("C-00000291-00000000-00000032.sys")))' "what it would do"
json "$T/out" '.instances[] | select(.name | endswith("linux.img")) | .outcome == "failed-home" and (.reason | contains("Linux"))' "linux"
json "$T/out" '.instances[] | select(.name == "overlay.qcow2") | .reason | contains("stands on another file")' "overlay"
[ -z "$attached" ] || json "$T/out" '.instances[] | select(.name == "good.img") | .reason | contains("in use as /dev/loop")' "in use"

# the keys are named by protector and by path; the third BitLocker disk has none and is not written
id=$(jq -r '.protectors[0].id' "$images/bl-xts.img.keys")
key=$(jq -r '.protectors[0].key' "$images/bl-xts.img.keys")
cp --sparse=always "$images/bl-xts.img" bl.img
cp --sparse=always "$images/bl-cbc.img" other.img
qemu-img convert -O qcow2 bl.img bl.qcow2
(umask 077; printf '%s,%s\n%s/bl.qcow2,%s\n' "$id" "$key" "$T" "$key" >keys.csv)
sha256sum other.img >>before
expect 1 "$FIXFLEET" disk repair $formats good.img bl.img bl.qcow2 other.img --keys keys.csv --run-dir "$T/run" --output json
json "$T/out" '[.instances[] | .outcome] == ([range(6) | "repaired"] + ["clean", "repaired", "repaired", "failed-home"])' "all that can be are mended"
json "$T/out" '.instances[9].reason | contains("no key was given")' "no key"
grep other.img before | sha256sum --quiet -c || fail "the disk without a key was written"
! grep -rqF -e "$key" "$T/run" "$T/out" "$T/err" || fail "a key was left behind"
json "$T/out" 'all(.instances[] | select(.outcome == "repaired"); .removed | length == 1 and (.[0] | .size == 41004 and (.sha256 | length == 64)))' "removed"
sha256sum --quiet -c --ignore-missing before 2>/dev/null && fail "nothing was written" || true
grep good.img before | sha256sum --quiet -c || fail "the good disk was written"
[ "$(find "$T/run/quarantine" -name '*.sys' | wc -l)" -eq 8 ] || fail "the quarantine does not hold eight files"
for f in $(find "$T/run/quarantine" -name '*.sys' ! -path '*-bl.*'); do
	[ "$(sha256sum <"$f" | cut -d' ' -f1)" = "$(jq -r '.instances[0].removed[0].sha256' "$T/out")" ] || fail "$f is another file"
done
"$FIXFLEET" status "$T/run" --output json >"$T/status" 2>"$T/err" || fail "no status: $(cat "$T/err")"
json "$T/status" '[.instances[0:7][] | .outcome] == ([range(6) | "repaired"] + ["clean"]) and .ended != null' "status"

# -- what was mended behind BitLocker is read by another program (cryptsetup): the bad file is gone, and nothing else
qemu-img convert -O raw bl.qcow2 plain.img
for image in bl.img plain.img; do cp "$images/bl-xts.img.keys" "$image.keys"; done
"$mkdisks" --tree "$images/bl-xts.img" bl.img plain.img >trees
for image in bl.img plain.img; do
	jq -c --arg i "$images/bl-xts.img" 'select(.image == $i) | del(.image)' trees >tree.before
	jq -c --arg i "$image" 'select(.image == $i) | del(.image)' trees >tree.after
	diff tree.before tree.after >tree.diff || true
	[ "$(grep -c '^[<>]' tree.diff)" -eq 1 ] && grep -q "^< .*$BAD" tree.diff || { cat tree.diff; fail "$image differs in more than the bad file"; }
done

# -- once more there is nothing to do, and what there is can be listed
cp --sparse=always raw.img cut.img
truncate -s 70M cut.img # amid of its last partition
expect 0 "$FIXFLEET" disk list $formats bl.qcow2 cut.img --output json
json "$T/out" '[.instances[6].disk.partitions[] | select(.encryption != null) | .protectors[].kind] == ["recovery-password", "startup-key"]' "protectors in a qcow2"
json "$T/out" 'all(.instances[0:6][]; .disk.table == "gpt" and ([.disk.partitions[] | .file_system] == ["ntfs", "vfat", null, "ntfs"])
	and (.disk.partitions[3].windows == [{path: "/Windows", version: null}]))' "list"
json "$T/out" '.instances[7].disk | .truncated and (.partitions | map(.size_bytes) | length == 3 and all(. > 0))' "a disk that was cut off"
