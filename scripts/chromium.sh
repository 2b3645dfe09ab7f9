#!/bin/sh
# Print the path of a Chromium or Chrome; install Chromium if there is none.
#
# CHROMIUM: the one to use, if it is set. Tests of report.html drive it; nothing else needs it.
# Nothing else is printed on standard output. Progress is printed on standard error.
set -u

say() { printf '%s\n' "$*" >&2; }

# Print the first one that exists, the user's own choice first.
find_chromium() {
    for name in "${CHROMIUM:-chromium}" chromium chromium-browser google-chrome \
        google-chrome-stable "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        /Applications/Chromium.app/Contents/MacOS/Chromium; do
        command -v "$name" && return 0
    done
    return 1
}

# Run a command that needs root: directly as root, else through sudo without a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_chromium() {
    for manager in apt-get dnf apk brew ''; do
        command -v "$manager" >/dev/null && break
    done
    case $manager in
        '') echo "no package manager was found" >"$log" && return 1 ;;
        brew) ;;
        *)
            if ! as_root true >/dev/null 2>&1; then
                echo "$manager needs root, and sudo asks for a password" >"$log"
                return 1
            fi
            ;;
    esac
    say "No Chromium here: installing it with $manager ..."
    case $manager in
        apt-get)
            as_root apt-get update >"$log" 2>&1
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends chromium fonts-dejavu-core >"$log" 2>&1
            ;;
        dnf) as_root dnf install -y chromium dejavu-sans-fonts >"$log" 2>&1 ;;
        apk) as_root apk add chromium font-dejavu >"$log" 2>&1 ;;
        brew) brew install --cask chromium >"$log" 2>&1 ;;
    esac
}

find_chromium && exit 0
log=$(mktemp "${TMPDIR:-/tmp}/chromium-install.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
install_chromium && find_chromium && exit 0
reason=$(tail -n 1 "$log")
say "The tests of report.html need Chromium and none was found: install it (Debian: chromium) or" \
    "set CHROMIUM to its path.${reason:+ Installing it failed: $reason}"
exit 1
