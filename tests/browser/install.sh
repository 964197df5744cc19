#!/bin/sh
# Chromium for the tests in a browser: installed where it is missing and we may (root, apt). Elsewhere says what to install;
# the tests are then skipped, but in CI they fail (tests/browser/chromium.py).
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" > /dev/null; then
        echo "browser: $(command -v "$name")"
        exit 0
    fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing Chromium (Debian's package)"
    # fonts-dejavu-core: without any font a browser draws boxes for letters
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; then
        exit 0
    fi
    echo "Chromium could not be installed (see above): the tests in a browser will be skipped, or fail in CI"
    exit 0
fi
echo "no Chromium here, and no right to install it: the tests in a browser will be skipped, or fail in CI."
echo "On Debian: sudo apt-get install chromium. Elsewhere: put chromium or google-chrome on PATH."
