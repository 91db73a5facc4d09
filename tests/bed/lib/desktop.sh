# shellcheck shell=bash
# The image of a desktop that the product has built.

# desktop_name SUITE: keyed by the part of the product that decides what is in it.
desktop_name() {
    echo "$1-desktop-$(cat "$HERE"/../../src/build/*.rs "$HERE/desktop-image" | sha256sum | cut -c1-12)"
}
