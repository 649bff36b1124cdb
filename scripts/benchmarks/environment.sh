# Sourced by scripts/bench and scripts/compare-keras.

# make_environment FOLDER FILE...: a virtual environment with the pinned requirements of the files, made once.
make_environment() {
    local folder=$1 stamp file files=()
    shift
    stamp=$(cat "$@" | cksum)
    [ -f "$folder/.zoo-stamp" ] && [ "$(cat "$folder/.zoo-stamp")" = "$stamp" ] && return
    echo "setting up $folder ..."
    for file in "$@"; do files+=(-r "$file"); done
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python "$folder"
    VIRTUAL_ENV=$PWD/$folder .venv/bin/uv pip install --quiet --require-hashes "${files[@]}"
    echo "$stamp" >"$folder/.zoo-stamp"
}
