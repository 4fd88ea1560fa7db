# shellcheck shell=bash
# What the scripts of hack/tools.d share. Sourced with `tool` and `version` set; not run, hence not executable.
#
# A build leaves programs in $CRISERVER_TOOLS/bin and its version in $CRISERVER_TOOLS/stamps/TOOL. Both appear by a
# rename, the stamp last: a build that is cut short is done again.
set -euo pipefail

: "${tool:?}" "${version:?}"
tools=${CRISERVER_TOOLS:-$HOME/.cache/criserver/tools}
export GOFLAGS="${GOFLAGS:-} -buildvcs=false" GOWORK=off

# Leave the script when this version is built and all of the named programs are there.
done_if_built() {
    local program
    [[ $(cat "$tools/stamps/$tool" 2>/dev/null) == "$version" ]] || return 0
    for program in "$@"; do
        [[ -x $tools/bin/$program ]] || return 0
    done
    exit 0
}

# Leave the script with 3, saying that $1 is missing and how to get it ($2).
missing() {
    echo "tools: $tool $version cannot be built: $1. Fix: $2" >&2
    exit 3
}

need_go() {
    command -v go >/dev/null || missing 'there is no Go compiler (go) on the PATH' 'install Go 1.26 or newer'
}

# Unpack module $1 at this version into a writable directory and go there. Inside the module itself, unlike with
# `go install`, tests can be compiled and the module's own replacements hold.
enter_module() {
    local archive problem
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    archive=$(go mod download -json "$1@$version" | tee answer.json | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p') || true
    if [[ -z $archive ]]; then
        sed -n 's/^\t"Error": /tools: /p' answer.json >&2
        return 1
    fi
    cp -r "$archive" source
    chmod -R u+w source
    cd source
    problem=$(go list -m 2>&1 >/dev/null) || missing "the Go on the PATH does not do ($problem)" 'install a newer Go'
    echo "tools: building $tool $version" >&2
}

# Make a module that requires module $1 at this version and go there: for modules whose own go.mod replaces others by
# directories that their archives lack. The same sources are released as modules of version $2.
enter_requiring() {
    local theirs
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    theirs=$(go mod download -json "$1@$version" | tee answer.json | sed -n 's/^\t"GoMod": "\(.*\)",*$/\1/p') || true
    if [[ -z $theirs ]]; then
        sed -n 's/^\t"Error": /tools: /p' answer.json >&2
        return 1
    fi
    {
        echo "module criserver.invalid/$tool"
        grep '^go ' "$theirs"
        echo "require $1 $version"
        sed -n "s#^\t*\(replace \)\{0,1\}\([a-z].*\) => \.\{1,2\}/.*#replace \2 => \2 $2#p" "$theirs"
    } >go.mod
    export GOFLAGS="$GOFLAGS -mod=mod"
    echo "tools: building $tool $version" >&2
}

# Linker flags by which programs of Kubernetes tell version $1 ("v1.37.2").
kubernetes_flags() {
    local package minor=${1#v1.} flags='-s -w'
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$1 -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}"
    done
    echo "$flags"
}

# Put the named programs, built into ./out, into the cache, and say that the tool is done.
install_programs() {
    local program
    mkdir -p "$tools"/{bin,stamps}
    for program in "$@"; do
        cp "out/$program" "$tools/bin/.$program.new"
        mv -f "$tools/bin/.$program.new" "$tools/bin/$program"
    done
    echo "$version" >"$tools/stamps/.$tool.new"
    mv -f "$tools/stamps/.$tool.new" "$tools/stamps/$tool"
    echo "tools: $tool $version is in $tools/bin" >&2
}
