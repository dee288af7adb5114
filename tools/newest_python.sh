#!/bin/sh
# Prints the path of a Python of the first of the given versions that can make a virtual environment here.
#     sh tools/newest_python.sh 3.13 3.12 3.11
# It looks along PATH, and where pyenv and uv keep theirs. Each candidate is tried: a name on PATH may be a shim of
# pyenv's for a version that is not chosen, and Debian's Python may lack ensurepip.

candidates() { # of one version, one a line
    (
        IFS=:
        for folder in $PATH; do
            echo "$folder/python$1"
        done
    )
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/* \
        "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/*; do
        echo "$folder/bin/python$1"
    done
}

# Also not a build without the global lock, for which the packages have no wheels.
CHECK='import ensurepip, sys, sysconfig, venv
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1] or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))'

for version in "$@"; do
    found=$(candidates "$version" | while IFS= read -r python; do
        if [ -x "$python" ] && "$python" -c "$CHECK" "$version" >/dev/null 2>&1 </dev/null; then
            echo "$python"
            break
        fi
    done)
    if [ -n "$found" ]; then
        echo "$found"
        exit 0
    fi
done
echo "no Python of $* that runs and has ensurepip was found; name one: make PYTHON=..." >&2
exit 1
