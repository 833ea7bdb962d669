/*
 * The repair worker: `fixfleet worker`, on the rescue VM, in its own process, because libguestfs blocks and parses
 * bytes that an attacker may have written. It speaks JSON Lines on stdin and stdout; stderr is for people.
 *
 * Controller to worker:
 *   {"op":"probe"}                     can an appliance be launched here? answered by "ready" or "unable"
 *   {"op":"mend","job":"17","name":"vm-17","dev_root":"/dev","paths":["disk/azure/scsi1/lun3",...],"size_bytes":N,
 *    "serial":null,"wait_ms":60000,"recipes":[{...}],"scan_only":false}
 *                                      a disk to mend. Paths are tried in order, relative to dev_root, until one exists
 * or wait_ms have passed. size_bytes 0 and serial null: not known
 *    "any_format":true   an image file may be VHD, VHDX, VMDK or qcow2; otherwise it is raw whatever it looks like
 *    "list":true         only say what is on the disk; needs no recipes
 *    "discard_hibernation":true   mend hibernated Windows too, and lose its session
 *    "timeout_ms":N      how long a look, and mending, may take before the appliance is killed; 0: for ever (600000)
 *    With "keys":true the controller answers "key-wanted"; without it, volumes that need a key stay closed.
 *   {"op":"key","job":"17","volume":0,"keys":[{"protector":"GUID"|null,"key":"48 digits, or a .BEK file in base64"}],
 *    "reason":null}                    what may open that volume, at most 8, tried in turn; none: "reason" says why
 *   {"op":"kept","job":"17"}           what was sent by "keep" is durable: go on and remove
 *   {"op":"drop","job":"17"}           do not touch that disk further; answered by "done" with result "failed"
 *   end of input                       finish nothing new, close everything cleanly, exit 0
 * Worker to controller:
 *   {"event":"hello","version":1,"program":"fixfleet 0.1.0"}                           first line
 *   {"event":"ready","libguestfs":"1.48.6","acceleration":"tcg","note":"..."}        note: e.g. the fall back from KVM;
 * once
 *   {"event":"unable","class":"local","reason":"libguestfs cannot launch: ..."}
 *   {"event":"key-wanted","job":"17","volume":0,"partition":3,"volume_id":"GUID",
 *    "protectors":[{"id":"GUID","kind":"recovery-password"|"startup-key"|"tpm"|...}]}   before "begin"; answered by
 * "key"
 *   {"event":"begin","job":"17"}                                  its appliance is being launched
 *   {"event":"stage","job":"17","text":"windows root on /dev/sda3"}     progress, for people
 *   {"event":"keep","job":"17","index":0,"path":"/Windows/.../C-00000291-00.sys","offset":0,"data":"<base64>"}
 *   {"event":"keep-end","job":"17","files":[{"path","size","mtime","sha256"},...]}     then it waits for "kept"
 *   {"event":"mended","job":"17"}                                 files are gone and proved gone; the disk is still
 * open
 *   {"event":"done","job":"17","result":"repaired"|"clean"|"failed","class":"disk","reason":"...","windows":["..."],
 *    "removed":[{"path","size","mtime","sha256"}],"changed":["..."],"notes":["..."],"ms":12345}
 *                                      the disk is closed: detach it. "removed" are the kept files that are gone or
 * replaced, "changed" says what else was done. After a look only: "would" says what a repair would do; "disk" is what
 * was listed Lines are at most FF_WORKER_LINE_BYTES_MAX long, file data comes in pieces of at most 512 KiB. mtime is
 * RFC 3339. Jobs that arrive while an appliance is busy go together into the next one.
 */
#ifndef FIXFLEET_WORKER_H
#define FIXFLEET_WORKER_H

#include "fixfleet/err.h"

#define FF_WORKER_VERSION	 1
#define FF_WORKER_LINE_BYTES_MAX (8 * 1024 * 1024) /* 10,000 files are named in one */

struct ff_worker_options {
	int in_fd, out_fd;
	unsigned disks_max;  /* in one appliance; 0: 48 */
	unsigned memory_mb;  /* of an appliance; 0: by the number of disks */
	unsigned appliances; /* side by side; 0: as processors and memory allow; at most FF_WORKER_APPLIANCES_MAX */
};

#define FF_WORKER_APPLIANCES_MAX 16

/** Serve until end of input. The process' exit status: 0, or 1 after a protocol error. */
int ff_worker_main(const struct ff_worker_options *options);

#endif
