# Turn "--name value" on the command line into name=value, as in Kaldi. To be sourced, after the options' defaults:
#
#     nj=4                       # an option exists when its variable does
#     help_message="Usage: $0 [--nj 4] <data>"
#     . utils/parse_options.sh   # leaves the positional arguments in "$@"
#
# Dashes in names may stand for underscores. An option whose default is true or false takes nothing else.
# --help prints $help_message; a script that defines a function help_message has that called instead, and the
# function sees the values of the options before --help.

while [ $# -gt 0 ]; do
    case $1 in
        --help | -h)
            if declare -F help_message >/dev/null; then help_message; else printf '%s\n' "${help_message:-No help.}"; fi
            exit 0
            ;;
        --)
            shift
            break
            ;;
        --*)
            _option=${1#--}
            _option=${_option//-/_}
            # Options are lower case, which keeps --PATH and its like from touching the shell's own variables.
            if [[ ! $_option =~ ^[a-z][a-z0-9_]*$ ]] || [ -z "${!_option+set}" ]; then
                _near=$(compgen -v | grep '^[a-z]' | awk -v wanted="$_option" -f "${BASH_SOURCE[0]%/*}/nearest.awk" || true)
                echo "error: $(basename "$0"): unknown option $1.${_near:+ Did you mean --$_near?} --help lists the options." >&2
                exit 1
            fi
            if [ $# -lt 2 ]; then
                echo "error: $(basename "$0"): option $1 needs a value." >&2
                exit 1
            fi
            case ${!_option} in
                true | false)
                    if [ "$2" != true ] && [ "$2" != false ]; then
                        echo "error: $(basename "$0"): option $1 is true or false, not '$2'." >&2
                        exit 1
                    fi
                    ;;
            esac
            printf -v "$_option" '%s' "$2"
            shift 2
            ;;
        *) break ;;
    esac
done
unset _option
