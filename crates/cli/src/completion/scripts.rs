//! The scripts. Each only asks the program and hands its answer to the shell.

/// Words are split at blanks only; bash itself splits at `:` and `=`, too, and wants nothing before those back.
pub(super) fn bash(program: &str) -> String {
    r#"# Completion of %program for bash, which asks %program itself.
_complete_%program() {
    local line=${COMP_LINE:0:COMP_POINT} words typed head answer directive candidate
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed=${words[${#words[@]}-1]}
    head=${typed%"${typed##*[:=]}"}
    COMPREPLY=()
    answer=$("${words[0]/#\~/$HOME}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return
    directive=${answer##*:}
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("${candidate#"$head"}")
    done <<<"${answer%:*}"
    if ((${#COMPREPLY[@]} == 0 && directive == 0)); then
        compopt -o default
    fi
}
complete -F _complete_%program %program
"#
    .replace("%program", program)
}

pub(super) fn zsh(program: &str) -> String {
    r#"#compdef %program
# Completion of %program for zsh, which asks %program itself.
_complete_%program() {
    local -a answer candidates
    local line directive
    answer=("${(@f)$(${(Q)words[1]} __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    directive=${answer[-1]#:}
    answer[-1]=()
    for line in $answer; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if ((${#candidates})); then
        _describe -t candidates candidate candidates
    elif [[ $directive == 0 ]]; then
        _files
    fi
}
compdef _complete_%program %program
"#
    .replace("%program", program)
}

pub(super) fn fish(program: &str) -> String {
    r#"# Completion of %program for fish, which asks %program itself.
function __complete_%program
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] "$typed" 2>/dev/null)
    if test (count $answer) -gt 1
        printf '%s\n' $answer[1..-2]
    else if test "$answer[1]" = ":0"
        __fish_complete_path "$typed"
    end
end
complete -c %program -f -a '(__complete_%program)'
"#
    .replace("%program", program)
}
