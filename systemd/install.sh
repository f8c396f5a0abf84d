#!/bin/sh
# Installs, upgrades and removes Edgeferry on a device with systemd; --help says how.
# Every version has a folder of its own; the link `current` decides which one runs, so that an
# upgrade takes effect in one step, and goes back in one step.
set -eu
# What the caller's Python is told is not for the one that is built here.
unset PYTHONPATH PYTHONHOME

usage() {
	cat <<'HELP'
Install Edgeferry as a pair of systemd services, or upgrade or remove it. Run it as root.

  install.sh --wheelhouse DIR     install or upgrade, offline, from a folder of wheels
  install.sh --wheel FILE         install or upgrade; what it depends on comes from PyPI
  install.sh --rollback           go back to the version before the last upgrade
  install.sh --uninstall          remove programs and services; settings and state stay
  install.sh --purge              remove settings, credentials, state and users as well

  --python PROGRAM   Python 3.11 or newer to build on (default: python3)
  --no-start         neither enable nor start nor restart the services
  --root DIR         install below DIR instead, without touching this system: for packages and tests
  --yes              do not ask before --purge

Programs go to /opt/edgeferry, settings to /etc/edgeferry/agent.toml (an example is written when
there is none, and never changed again), state to /var/lib/edgeferry (only --purge touches it).
Running the same command again changes nothing. An upgrade restarts the agent, then the worker; when
the new agent does not come up, the version before is put back.
HELP
}

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
	warn "$1"
	exit "${2:-1}"
}
bad_usage() { fail "$1; see install.sh --help" 2; }

action=install wheel='' wheelhouse='' root='' python=python3 start=yes sure=no
while [ $# -gt 0 ]; do
	case $1 in
	--wheel | --wheelhouse | --root | --python)
		[ $# -ge 2 ] || bad_usage "$1 needs a value"
		case $1 in
		--wheel) wheel=$2 ;;
		--wheelhouse) wheelhouse=$2 ;;
		--root) root=${2%/} ;;
		--python) python=$2 ;;
		esac
		shift
		;;
	--rollback) action=rollback ;;
	--uninstall) action=uninstall ;;
	--purge) action=purge ;;
	--no-start) start=no ;;
	--yes) sure=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*) bad_usage "unknown option $1" ;;
	esac
	shift
done

opt=$root/opt/edgeferry
versions=$opt/versions
settings=$root/etc/edgeferry
units=$root/etc/systemd/system
unit_names='edgeferry.target edgeferry-agent.service edgeferry-worker.service'
command_link=$root/usr/local/bin/edgeferry

# Whether this is a running system that is ours to change, not a folder.
live() { [ -z "$root" ]; }
services() { [ "$start" = yes ] && live && [ -d /run/systemd/system ]; }
is_active() { systemctl --quiet is-active "$1"; }

check_system() {
	if live; then
		[ "$(id -u)" = 0 ] || fail "only root may do that; try: sudo $0"
		command -v systemctl >/dev/null || fail 'this system has no systemd'
	else
		case $root in
		/*) ;;
		*) fail "--root: $root is no absolute path" 2 ;;
		esac
	fi
}

alone() {
	mkdir -p "$opt"
	exec 9>>"$opt/.lock"
	if command -v flock >/dev/null; then
		flock -n 9 || fail 'another installation is under way; wait until it has ended'
	fi
}

find_wheel() {
	if [ -n "$wheelhouse" ]; then
		[ -d "$wheelhouse" ] || fail "--wheelhouse: there is no folder $wheelhouse" 2
		if [ -z "$wheel" ]; then
			for wheel in "$wheelhouse"/edgeferry-*.whl; do :; done
		fi
	fi
	[ -n "$wheel" ] || bad_usage 'name what to install: --wheelhouse DIR or --wheel FILE'
	[ -f "$wheel" ] || fail "there is no wheel $wheel" 2
}

check_python() {
	command -v "$python" >/dev/null || fail "there is no $python: apt-get install python3 python3-venv"
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
		fail "$python is older than 3.11; name another one with --python"
	"$python" -c 'import ensurepip, venv' 2>/dev/null ||
		fail "$python can't make virtual environments: apt-get install python3-venv"
}

# The version and what is in it, so that another build of the same version is another folder.
version_of() {
	name=${1##*/edgeferry-}
	sum=$(sha256sum "$1")
	printf '%s-%.8s' "${name%%-*}" "$sum"
}

build_environment() {
	target=$1
	# Left by an installation that was interrupted: nothing points here.
	rm -rf "$target"
	mkdir -p "$versions"
	"$python" -m venv "$target"
	set -- --quiet --disable-pip-version-check --no-compile --no-input
	constraints=$(dirname "$0")/../constraints.txt
	if [ -n "$wheelhouse" ]; then
		set -- "$@" --no-index --find-links "$wheelhouse"
	elif [ -f "$constraints" ]; then
		set -- "$@" -c "$constraints"
	fi
	"$target/bin/python" -m pip install "$@" "$wheel" ||
		fail "pip could not install $wheel; what runs now was not touched"
	"$target/bin/python" -m compileall -q -j 0 -s "$root" \
		-x '/(pip|setuptools|pkg_resources|tests)/' "$target/lib" || warn 'some files did not compile'
	live || forget_root "$target"
	run_in "$target" --help >/dev/null || fail "$target does not start; what runs now was not touched"
	: >"$target/.complete"
}

# An environment built below --root must say where it is going to be.
forget_root() {
	for file in "$1"/bin/* "$1/pyvenv.cfg"; do
		if [ ! -L "$file" ] && grep -Iq "$root" "$file"; then
			sed -i "s|$root||g" "$file"
		fi
	done
}

run_in() {
	environment=$1
	shift
	"$environment/bin/python" -P -m commands.main "$@"
}

# point LINK TARGET: in one step, so that there is always something behind the link.
point() {
	ln -s "$2" "$1.new.$$"
	mv -T "$1.new.$$" "$1"
}

target_of() { if [ -L "$opt/$1" ]; then readlink "$opt/$1"; fi; }

install_units() {
	share=$opt/current/share/edgeferry/systemd
	mkdir -p "$units" "$root/etc/sysusers.d" "$root/etc/tmpfiles.d" "$root/usr/local/bin"
	for unit in $unit_names; do
		install -m 0644 "$share/$unit" "$units/$unit"
	done
	install -m 0644 "$share/sysusers.d/edgeferry.conf" "$root/etc/sysusers.d/edgeferry.conf"
	install -m 0644 "$share/tmpfiles.d/edgeferry.conf" "$root/etc/tmpfiles.d/edgeferry.conf"
	ln -sfn /opt/edgeferry/current/bin/edgeferry "$command_link"
	if live; then
		systemd-sysusers /etc/sysusers.d/edgeferry.conf
		systemd-tmpfiles --create /etc/tmpfiles.d/edgeferry.conf
		if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	fi
}

write_settings() {
	[ -e "$settings/agent.toml" ] && return
	mkdir -p "$settings"
	chmod 0750 "$settings"
	(
		umask 0027
		run_in "$opt/current" example-config >"$settings/.agent.toml.new"
	)
	if live; then chgrp edgeferry "$settings" "$settings/.agent.toml.new"; fi
	mv "$settings/.agent.toml.new" "$settings/agent.toml"
	say "wrote $settings/agent.toml: fill in who this device is (docs/credentials.md)"
}

# restart BEFORE: the agent first, for the worker serves meanwhile; then the worker.
restart() {
	services || return 0
	systemctl --quiet enable edgeferry.target edgeferry-agent.service edgeferry-worker.service
	if [ -n "$1" ] && is_active edgeferry-agent.service; then
		if ! systemctl restart edgeferry-agent.service; then
			warn 'the new agent does not come up; its last words:'
			journalctl --no-pager --lines 10 --output cat --unit edgeferry-agent.service >&2 || :
			return 1
		fi
		if is_active edgeferry-worker.service; then
			systemctl restart edgeferry-worker.service || return 1
		fi
	fi
	systemctl start edgeferry.target
}

# switch_to VERSION: make it what runs; the version before comes back if it does not.
switch_to() {
	before=$(target_of current) older=$(target_of previous)
	if [ "$before" = "versions/$1" ]; then
		install_units
		return
	fi
	point "$opt/current" "versions/$1"
	if [ -n "$before" ]; then point "$opt/previous" "$before"; fi
	install_units
	if restart "$before"; then return; fi
	point "$opt/current" "$before"
	if [ -n "$older" ]; then point "$opt/previous" "$older"; else rm -f "$opt/previous"; fi
	install_units
	systemctl reset-failed edgeferry-agent.service edgeferry-worker.service || :
	restart "$before" || warn 'neither does the version before; see: journalctl -u edgeferry-agent'
	fail "went back to ${before#versions/}"
}

remove_old_versions() {
	for folder in "$versions"/*; do
		case versions/${folder##*/} in
		"$(target_of current)" | "$(target_of previous)") ;;
		*) rm -rf "$folder" ;;
		esac
	done
}

look_at_it() {
	services || return 0
	run_in "$opt/current" doctor || :
	systemctl --no-pager --lines 0 status edgeferry-agent.service edgeferry-worker.service || :
}

do_install() {
	find_wheel
	check_python
	alone
	version=$(version_of "$wheel")
	if [ -e "$versions/$version/.complete" ]; then
		say "$version is here already"
	else
		say "building $version, which takes a minute or so on a small board"
		build_environment "$versions/$version"
	fi
	if [ -z "$(target_of current)" ]; then
		# The users must be there for the settings, and the settings for the first start.
		point "$opt/current" "versions/$version"
		install_units
		write_settings
		restart ''
	else
		switch_to "$version"
		write_settings
		restart ''
	fi
	remove_old_versions
	say "$version is installed"
	look_at_it
}

do_rollback() {
	alone
	before=$(target_of previous)
	[ -n "$before" ] && [ -d "$opt/$before" ] || fail 'there is no version to go back to'
	switch_to "${before#versions/}"
	say "${before#versions/} runs again; --rollback once more undoes this"
	look_at_it
}

do_uninstall() {
	if services; then
		systemctl --quiet disable --now edgeferry.target edgeferry-agent.service edgeferry-worker.service || :
	fi
	for unit in $unit_names; do rm -f "$units/$unit"; done
	rm -f "$root/etc/sysusers.d/edgeferry.conf" "$root/etc/tmpfiles.d/edgeferry.conf" "$command_link"
	rm -rf "$opt"
	if services; then
		systemctl daemon-reload
		systemctl reset-failed 'edgeferry*' 2>/dev/null || :
	fi
}

do_purge() {
	if [ "$sure" = no ]; then
		[ -t 0 ] || fail '--purge without a terminal needs --yes' 2
		printf 'Remove %s with its keys, and %s with every model and the history? [y/N] ' \
			"$settings" "$root/var/lib/edgeferry"
		read -r answer
		[ "$answer" = y ] || fail 'nothing was removed'
	fi
	do_uninstall
	rm -rf "$settings" "$root/var/lib/edgeferry"
	for name in ca crt key psk psk-id; do rm -f "$root/etc/credstore/edgeferry.$name"; done
	if live; then
		rm -rf "$units/edgeferry-agent.service.d" "$units/edgeferry-worker.service.d"
		for user in edgeferry-agent edgeferry-worker; do
			if id "$user" >/dev/null 2>&1; then userdel "$user"; fi
		done
		if getent group edgeferry >/dev/null; then groupdel edgeferry; fi
	fi
}

check_system
case $action in
install) do_install ;;
rollback) do_rollback ;;
uninstall)
	do_uninstall
	say "removed; $settings and $root/var/lib/edgeferry were left alone"
	;;
purge)
	do_purge
	say 'removed, with everything it knew'
	;;
esac
