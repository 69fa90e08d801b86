# SPDX-License-Identifier: BSD-3-Clause
# bash completion for uvfio(1)

# Models, or the properties of one: the first column of the command's own listing.
_uvfio_names()
{
	"$uvfio" models "$@" 2>/dev/null | awk -v model="${1-}" '
		model == "" || (/^  / && $1 != "property") { print $1 }'
}

# MODEL[,property=value...]: completes what comes after the last comma.
_uvfio_device()
{
	local cur=$1 done model

	if [[ $cur != *,* ]]; then
		COMPREPLY=($(compgen -W "$(_uvfio_names)" -- "$cur"))
	else
		done=${cur%,*},
		model=${cur%%,*}
		COMPREPLY=($(compgen -P "$done" -S = -W "$(_uvfio_names "$model")" -- "${cur##*,}"))
	fi
	compopt -o nospace 2>/dev/null
}

_uvfio()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} uvfio=${COMP_WORDS[0]} i
	local options='--device --iommu --host --vfio-container --memlock --fault-log --keep-host-pci --help'

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W 'run models --help --version' -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
	models)
		COMPREPLY=($(compgen -W "$(_uvfio_names)" -- "$cur"))
		return
		;;
	run) ;;
	*) return ;;
	esac

	# Behind "--", another command is completed as if it stood alone.
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			if declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
			else
				COMPREPLY=($(compgen -A command -A file -- "$cur"))
			fi
			return
		fi
	done

	# readline splits words at "=": "--memlock=limit" arrives as three words.
	[[ $cur == = ]] && cur= && prev=${COMP_WORDS[COMP_CWORD-1]}
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
	case $prev in
	-d | --device) _uvfio_device "$cur" ;;
	--iommu) COMPREPLY=($(compgen -W 'none vtd vtd,aw-bits=39 vtd,aw-bits=48 vtd,aw-bits=57' -- "$cur")) ;;
	--vfio-container) COMPREPLY=($(compgen -W 'native compat' -- "$cur")) ;;
	--memlock) COMPREPLY=($(compgen -W 'limit unlimited' -- "$cur")) ;;
	--host | --fault-log) COMPREPLY=($(compgen -A file -- "$cur")) ;;
	*) COMPREPLY=($(compgen -W "$options --" -- "$cur")) ;;
	esac
}
complete -F _uvfio uvfio
