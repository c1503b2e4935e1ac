import { PROGRAM } from "../help.ts";
import { COMPLETE } from "./print-candidates.ts";

/** The shells there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/**
 * The script that makes a shell ask this program for every completion. It knows no command by itself, so a newer
 * release needs no newer script. The program asked is the one that was typed: also ./node_modules/.bin/rejot-kafka.
 */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

const FUNCTION = `_${PROGRAM.replaceAll("-", "_")}`;

// bash 3.2 of macOS has neither mapfile nor compopt. An empty word in front of the answer is what "no word typed
// yet" looks like to the program: COMP_WORDS holds it.
const BASH = `# Completion of ${PROGRAM} for bash: source <(${PROGRAM} completion bash)
${FUNCTION}() {
  local line value tab=$'\\t' files=""
  local program="\${COMP_WORDS[0]/#\\~/$HOME}"
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ":files" ]; then
      files=1
      continue
    fi
    value="\${line%%"$tab"*}"
    COMPREPLY+=("$(printf '%q' "$value")")
  done < <("$program" ${COMPLETE} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ -z "$files" ]; then
    # Without this bash offers file names where there is nothing to offer.
    compopt +o default 2>/dev/null
  elif [ "\${#COMPREPLY[@]}" -gt 0 ]; then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
  fi
}
complete -o default -F ${FUNCTION} ${PROGRAM}
`;

const ZSH = `#compdef ${PROGRAM}
# Completion of ${PROGRAM} for zsh: source <(${PROGRAM} completion zsh), or as _${PROGRAM} in a folder of $fpath
${FUNCTION}() {
  local line files="" tab=$'\\t'
  local -a described
  while IFS= read -r line; do
    if [[ "$line" == ":files" ]]; then
      files=1
    else
      # _describe takes the first colon for the end of the value.
      local value="\${line%%$tab*}"
      local description="\${line#*$tab}"
      [[ "$description" == "$line" ]] && description=""
      described+=("\${value//:/\\\\:}\${description:+:$description}")
    fi
  done < <("\${(Q)words[1]/#\\~/$HOME}" ${COMPLETE} -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( \${#described} )) && _describe '${PROGRAM}' described
  if [[ -n "$files" ]]; then
    compset -P '--*='
    _files
  fi
  return 0
}
if [[ "\${funcstack[1]}" == "_${PROGRAM}" ]]; then
  ${FUNCTION} "$@"
else
  (( \${+functions[compdef]} )) || { autoload -Uz compinit && compinit; }
  compdef ${FUNCTION} ${PROGRAM}
fi
`;

const FISH = `# Completion of ${PROGRAM} for fish: ${PROGRAM} completion fish | source
function _${FUNCTION}
  set -l words (commandline -opc) (commandline -ct)
  for line in ("$words[1]" ${COMPLETE} -- $words[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c ${PROGRAM} -f -k -a "(_${FUNCTION})"
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
