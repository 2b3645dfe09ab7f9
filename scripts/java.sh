#!/bin/sh
# Print the JAVA_HOME of a Java that Spark runs on; install one if there is none.
#
#   scripts/java.sh [newest]      newest: the newest accepted version, e.g. 21 for Spark 3.5
#
# Spark runs on Java 17, 21 and, since 4.2, 25 (https://spark.apache.org/docs/latest/); Spark 3.5
# does not start on 23 or newer (https://issues.apache.org/jira/browse/HADOOP-19212). The script
# searches everywhere for one of these three. Only if there is none, it takes another that is new
# enough.
#
# Nothing else is printed on standard output. Progress is printed on standard error.
set -u

oldest=17
newest=${1:-999}
# The folders that hold Javas, separated by colons. Tests and unusual machines set the variable.
folders=${JAVA_SEARCH_PATH:-/usr/lib/jvm:/usr/java:/opt/java:/opt/homebrew/opt:/usr/local/opt:/home/linuxbrew/.linuxbrew/opt:${HOME:-/nonexistent}/.sdkman/candidates/java}

say() { printf '%s\n' "$*" >&2; }

# Print the major version of the Java in $1 (17 for "17.0.15", 8 for "1.8.0_392"). Fail if it is not
# a Java: a shim, or macOS's /usr/bin/java, may exist without a Java behind it.
major_version() {
    [ -x "$1" ] && [ ! -d "$1" ] || return 1
    banner=$("$1" -version 2>&1 </dev/null) || return 1
    case $banner in *'version "'*) ;; *) return 1 ;; esac
    version=${banner#*version \"}
    version=${version%%\"*}
    version=${version#1.}
    version=${version%%[!0-9]*}
    [ -n "$version" ] && printf '%s\n' "$version"
}

# Print the home of the Java in $1. It is asked itself, because the executable may be a shim or link.
home_of() {
    settings=$("$1" -XshowSettings:properties -version 2>&1 </dev/null) || settings=
    case $settings in
        *'java.home = '*)
            home=${settings#*java.home = }
            printf '%s\n' "${home%%
*}"
            ;;
        *) (cd "$(dirname "$1")/.." && pwd) ;;
    esac
}

# Spark 4 starts Java with this module. A Java reduced with jlink may lack it.
has_vector_module() {
    "$1" --add-modules=jdk.incubator.vector -version >/dev/null 2>&1 </dev/null
}

# Print every possible path of a Java, one per line, the user's own choice first.
candidates() {
    [ -n "${JAVA_HOME:-}" ] && printf '%s\n' "$JAVA_HOME/bin/java"
    command -v java
    for version in 17 21; do
        [ -x /usr/libexec/java_home ] && [ -z "${JAVA_SEARCH_PATH:-}" ] &&
            home=$(/usr/libexec/java_home -v "$version" 2>/dev/null) &&
            printf '%s\n' "$home/bin/java"
    done
    old_ifs=$IFS
    IFS=:
    for folder in $folders; do
        for home in "$folder"/*; do
            printf '%s\n' "$home/bin/java" "$home/Contents/Home/bin/java" \
                "$home/libexec/openjdk.jdk/Contents/Home/bin/java"
        done
    done
    IFS=$old_ifs
    return 0
}

# Print the home of the first Java that Spark supports, else of the first that is new enough.
find_java() {
    second_best=
    refused=
    # A here-document and not a pipe: the loop must not run in a subshell.
    while IFS= read -r java; do
        major=$(major_version "$java") || continue
        if [ "$major" -lt "$oldest" ] || [ "$major" -gt "$newest" ]; then
            refused="$refused, $java is Java $major"
            continue
        fi
        has_vector_module "$java" || continue
        case $major in
            17 | 21 | 25) home_of "$java" && return 0 ;;
            *) second_best=${second_best:-$java} ;;
        esac
    done <<END
$(candidates)
END
    [ -n "$second_best" ] && home_of "$second_best"
}

accepted_versions() {
    if [ "$newest" -eq 999 ]; then echo "Java $oldest or newer"; else echo "Java $oldest to $newest"; fi
}

# Run a command that needs root: directly as root, else through sudo without a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Install the first package that the distribution has.
#   install_first_of COMMAND... -- PACKAGE...
install_first_of() {
    command=
    while [ "$1" != -- ]; do
        command="$command $1"
        shift
    done
    shift
    for package in "$@"; do
        say "No $(accepted_versions) here: installing $package with $manager ..."
        # shellcheck disable=SC2086 # the command is several words
        $command "$package" >"$log" 2>&1 && return 0
    done
    return 1
}

install_java() {
    for manager in apt-get dnf yum apk brew ''; do
        command -v "$manager" >/dev/null && break
    done
    [ -n "$manager" ] || return 1
    if [ "$manager" != brew ] && ! as_root true >/dev/null 2>&1; then
        echo "$manager needs root, and sudo asks for a password" >"$log"
        return 1
    fi
    case $manager in
        apt-get)
            as_root apt-get update >"$log" 2>&1
            install_first_of as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends -- \
                openjdk-17-jre-headless openjdk-21-jre-headless
            ;;
        dnf | yum)
            install_first_of as_root "$manager" install -y -- java-17-amazon-corretto-headless \
                java-17-openjdk-headless java-21-openjdk-headless
            ;;
        apk) install_first_of as_root apk add -- openjdk17-jre-headless openjdk21-jre-headless ;;
        brew) install_first_of brew install -- openjdk@17 openjdk@21 ;;
    esac
}

find_java && exit 0
log=$(mktemp "${TMPDIR:-/tmp}/java-install.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
install_java && find_java && exit 0
reason=$(tail -n 1 "$log")
say "Spark needs $(accepted_versions) and none was found: install one" \
    "(Debian: openjdk-17-jre-headless," \
    "Fedora: java-21-openjdk-headless, Amazon Linux: java-17-amazon-corretto-headless," \
    "macOS: brew install openjdk@17) or set JAVA_HOME to it." \
    "${refused:+Not suitable: ${refused#, }. }${reason:+Installing one failed: $reason}"
exit 1
