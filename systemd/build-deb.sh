#!/bin/sh
# Makes dist/edgeferry_VERSION_ARCHITECTURE.deb out of what install.sh puts below a folder:
#   build-deb.sh WHEELHOUSE PYTHON
# The package holds a virtual environment and therefore fits one Python and one architecture.
# dpkg-deb alone: dh-virtualenv would do the same with debhelper and a source package around it, and
# nfpm and fpm pack trees but make no environments, so the tree would still come from install.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
wheelhouse=$1 python=$2
dist=$(dirname "$wheelhouse")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

for wheel in "$wheelhouse"/edgeferry-*.whl; do :; done
version=${wheel##*/edgeferry-}
version=${version%%-*}
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
architecture=$(dpkg --print-architecture)

"$here/install.sh" --root "$stage" --wheelhouse "$wheelhouse" --python "$python"

# What a package brings has other places than what an administrator installs; its settings are made
# when it is configured, for they belong to a group that is not there yet.
mkdir -p "$stage/usr/lib/systemd" "$stage/usr/bin" "$stage/DEBIAN"
mv "$stage/etc/systemd/system" "$stage/usr/lib/systemd/system"
mv "$stage/etc/sysusers.d" "$stage/etc/tmpfiles.d" "$stage/usr/lib"
mv "$stage/usr/local/bin/edgeferry" "$stage/usr/bin/edgeferry"
rm -rf "${stage:?}/etc" "${stage:?}/usr/local" "$stage/opt/edgeferry/.lock"
# Debian's Python, whichever one of the same version built this.
for link in "$stage"/opt/edgeferry/current/bin/python*; do
	case $(readlink "$link") in /*) ln -sfn "/usr/bin/python3.$minor" "$link" ;; esac
done
sed -i "s|^home = .*|home = /usr/bin|; s|^executable = .*|executable = /usr/bin/python3.$minor|" \
	"$stage/opt/edgeferry/current/pyvenv.cfg"

cat >"$stage/DEBIAN/control" <<END
Package: edgeferry
Version: $version
Architecture: $architecture
Maintainer: Edgeferry <edgeferry@localhost>
Section: misc
Priority: optional
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd (>= 252)
Installed-Size: $(du -sk "$stage" | cut -f1)
Description: keeps the machine-learning model of an edge device current
 The agent fetches models over Golioth's CoAP/DTLS, proves them and watches them; the worker
 classifies a camera's pictures and is switched from model to model without losing one.
END
for script in postinst prerm postrm; do
	install -m 0755 "$here/debian/$script" "$stage/DEBIAN/$script"
done
dpkg-deb -Zzstd --root-owner-group --build "$stage" "$dist/edgeferry_${version}_$architecture.deb"
