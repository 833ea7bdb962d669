# bash completion for fixfleet

_fixfleet()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	case $prev in
	--provider) COMPREPLY=($(compgen -W "azure aws gcp" -- "$cur")); return ;;
	--output) COMPREPLY=($(compgen -W "table json csv" -- "$cur")); return ;;
	--log-format) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
	--azure-cloud) COMPREPLY=($(compgen -W "public usgov china" -- "$cur")); return ;;
	--asg) COMPREPLY=($(compgen -W "skip standby" -- "$cur")); return ;;
	--backup) COMPREPLY=($(compgen -W "snapshot none" -- "$cur")); return ;;
	--worker) COMPREPLY=($(compgen -W "local ssh ssh:" -- "$cur")); return ;;
	--recipe) COMPREPLY=($(compgen -W "$(fixfleet recipes 2>/dev/null | sed 1d | cut -d' ' -f1)" -- "$cur") $(compgen -f -- "$cur")); return ;;
	--ca-file | --instances | --csek-key-file | --keys) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--run-dir | --dev-root) COMPREPLY=($(compgen -d -- "$cur")); return ;;
	--subscription | --rg | --region | --profile | --project | --zone | --name | --tag | --rescue | --key-secret | --max-failures | --canary | --parallel | --verify-timeout | --disk-timeout | --appliances) return ;;
	--key-command) COMPREPLY=($(compgen -c -- "$cur")); return ;;
	esac
	if [ "$COMP_CWORD" -eq 1 ] && [[ $cur != -* ]]; then
		COMPREPLY=($(compgen -W "repair list resume rollback cleanup status disk recipes worker" -- "$cur"))
		return
	fi
	if [[ ${COMP_WORDS[1]} = @(status|resume|rollback|cleanup) ]] && [[ $cur != -* ]]; then
		COMPREPLY=($(compgen -W "$(ls "${XDG_STATE_HOME:-$HOME/.local/state}/fixfleet" 2>/dev/null)" -- "$cur"))
		return
	fi
	if [ "${COMP_WORDS[1]}" = disk ] && [[ $cur != -* ]]; then
		[ "$COMP_CWORD" -gt 2 ] && COMPREPLY=($(compgen -f -- "$cur")) || COMPREPLY=($(compgen -W "scan repair list" -- "$cur"))
		return
	fi
	if [ "${COMP_WORDS[1]}" = recipes ] && [[ $cur != -* ]]; then
		[ "$COMP_CWORD" -gt 2 ] && COMPREPLY=($(compgen -f -- "$cur")) || COMPREPLY=($(compgen -W "show check" -- "$cur"))
		return
	fi
	COMPREPLY=($(compgen -W "$(fixfleet "${COMP_WORDS[1]#-*}" --help 2>/dev/null |
		grep -o -e '--[a-z][a-z-]*' | sort -u)" -- "$cur"))
}
complete -F _fixfleet fixfleet
