# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by quickstart and check: the Debian packages, and how they get here.
BUILD_PACKAGES='gcc make autoconf automake pkg-config libc6-dev fuse3 libfuse3-dev libuv1-dev
    libzstd-dev zlib1g-dev libssl-dev libjansson-dev'
TEST_PACKAGES='clang libclang-rt-14-dev clang-format libcmocka-dev bats bats-assert bats-support
    zookeeper zookeeper-bin python3-kazoo inotify-tools rsync zstd attr procps iproute2 openssl vim-tiny
    man-db'

# Install those of the named packages that are missing.
install_packages() {
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$missing"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
