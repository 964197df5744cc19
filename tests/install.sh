#!/usr/bin/env bash
# Installs a Debian package that some tests need, where we may; elsewhere says what to install, and the tests skip.
set -euo pipefail
package=$1
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "$package is not installed: its tests are skipped. On Debian and Ubuntu: sudo apt-get install $package"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if [ "$package" = postgresql ]; then  # the package would start a database of its own; the tests start theirs
  mkdir -p /etc/postgresql-common/createcluster.d
  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/no-main-cluster.conf
fi
apt-get update -qq
fonts=()
if [ "$package" = chromium ]; then fonts=(fonts-dejavu-core); fi  # without any font a browser draws boxes for letters
apt-get install -y -qq --no-install-recommends "$package" "${fonts[@]}"
