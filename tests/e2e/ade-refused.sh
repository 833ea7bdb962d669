#!/bin/sh
# Azure refuses to attach a disk for its encryption settings: the VM goes home at once, on its own disk, and the reason says so.
. tests/e2e/lib

bek=UAAAAAEAAAAwAAAAUAAAAFn3gUP4xOBNu2H8M6gxvaUBAAAAAAAAAADAg+2KSdoBIAAGAAkAAQBZ94FD+MTgTbth/DOoMb2lAMCD7YpJ2gE=
scenario '{"ade_attach_refused":true}' '[]' "$(win ade-1 bad.img "$(jq -cn --arg bek "$bek" '{ade:"single", ade_bek:$bek}')")" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud"
repair --name ade-1
[ $status -eq 1 ] || { cat "$T/err"; fail "exit status $status, not 1"; }
ended ade-1 failed-home "contains encryption settings and cannot be used as a data disk"
at_home ade-1
[ "$(copies)" -eq 0 ] || fail "a copy is left"
[ "$(sim_state '.requests["vm attachDetachDataDisks"]')" = 1 ] || fail "it was tried $(sim_state '.requests["vm attachDetachDataDisks"]') times"
[ "$(sim_state '.requests["vault secret"]')" = null ] || fail "a key was asked for"
tidy
