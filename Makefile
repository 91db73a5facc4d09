# qemu-web-desktop: build, install, package, try out, test. Nothing here is needed to use the package.

# The programs, the units and Apache's file name each other by these paths: DESTDIR= moves them all.
prefix = /usr
bindir = $(prefix)/bin
libexecdir = $(prefix)/libexec
datadir = $(prefix)/share
mandir = $(datadir)/man
sysconfdir = /etc
unitdir = $(prefix)/lib/systemd/system
tmpfilesdir = $(prefix)/lib/tmpfiles.d
CARGO = cargo
PROFILE ?= release

# Under sudo the compiler may be the person's own.
ifneq ($(SUDO_USER),)
person := $(shell getent passwd $(SUDO_USER) | cut -d: -f6)
ifneq ($(wildcard $(person)/.cargo/bin/cargo),)
export RUSTUP_HOME ?= $(person)/.rustup
export PATH := $(PATH):$(person)/.cargo/bin
endif
endif

out = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)
pkglibexec = $(libexecdir)/qemu-web-desktop
pkgdata = $(datadir)/qemu-web-desktop
examples = $(datadir)/doc/qemu-web-desktop/examples
completions = $(datadir)/bash-completion/completions
units = $(wildcard units/*.service units/*.socket units/*.timer units/*.slice units/*.target)
manpages = $(wildcard man/*.[1-8])

all:
	$(CARGO) build --locked --profile $(PROFILE)
	@# All programs but one are links to one file; the completion comes out of the program itself.
	for p in $$($(out)/qwd --list); do ln -sf qwd $(out)/$$p || exit 1; done
	$(out)/qwdctl completion bash >$(out)/qwdctl.bash

install:
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(pkglibexec) $(DESTDIR)$(unitdir) $(DESTDIR)$(pkgdata)/static
	install $(out)/qwd $(out)/qwd-auth-pam $(DESTDIR)$(pkglibexec)/
	for p in $$($(out)/qwd --list); do ln -sf qwd $(DESTDIR)$(pkglibexec)/$$p || exit 1; done
	@# Where people look for it.
	rm $(DESTDIR)$(pkglibexec)/qwdctl
	ln -srf $(DESTDIR)$(pkglibexec)/qwd $(DESTDIR)$(bindir)/qwdctl
	install -m 644 $(units) $(DESTDIR)$(unitdir)/
	install -d $(DESTDIR)$(datadir)/dbus-1/system.d $(DESTDIR)$(datadir)/dbus-1/system-services $(DESTDIR)$(datadir)/dbus-1/interfaces
	install -m 644 units/dbus/*.conf $(DESTDIR)$(datadir)/dbus-1/system.d/
	install -m 644 units/dbus/*.service $(DESTDIR)$(datadir)/dbus-1/system-services/
	install -m 644 units/dbus/*.xml $(DESTDIR)$(datadir)/dbus-1/interfaces/
	install -d $(DESTDIR)$(tmpfilesdir)
	install -m 644 units/tmpfiles.d/qemu-web-desktop.conf $(DESTDIR)$(tmpfilesdir)/
	install -m 644 $(wildcard html/static/*) $(wildcard apache/unavailable.*) $(DESTDIR)$(pkgdata)/static/
	install -d $(DESTDIR)$(sysconfdir)/qemu-web-desktop/config.d $(DESTDIR)$(sysconfdir)/qemu-web-desktop/icons $(DESTDIR)$(sysconfdir)/apache2/conf-available
	install -d $(DESTDIR)$(sysconfdir)/pam.d
	test -e $(DESTDIR)$(sysconfdir)/pam.d/qemu-web-desktop || \
	    install -m 644 etc/pam.d/qemu-web-desktop $(DESTDIR)$(sysconfdir)/pam.d/
	for f in $(filter-out %.d,$(wildcard etc/*.*)); do \
	    test -e $(DESTDIR)$(sysconfdir)/qemu-web-desktop/$${f##*/} || \
	    install -m 644 $$f $(DESTDIR)$(sysconfdir)/qemu-web-desktop/ || exit 1; \
	done
	install -m 644 apache/qemu-web-desktop.conf $(DESTDIR)$(sysconfdir)/apache2/conf-available/
	for d in filter.d jail.d; do \
	    install -D -m 644 etc/fail2ban/$$d/qemu-web-desktop.conf $(DESTDIR)$(sysconfdir)/fail2ban/$$d/qemu-web-desktop.conf || exit 1; \
	done
	install -d $(DESTDIR)$(examples)
	install -m 644 $(wildcard etc/examples/*) $(DESTDIR)$(examples)/
	install -d $(DESTDIR)$(completions)
	install -m 644 $(out)/qwdctl.bash $(DESTDIR)$(completions)/qwdctl
	for m in $(manpages); do \
	    install -D -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/$${m##*/} || exit 1; \
	done

# The configuration and the machines' images are the administrator's, and stay.
uninstall:
	rm -f $(DESTDIR)$(bindir)/qwdctl $(DESTDIR)$(completions)/qwdctl
	rm -rf $(DESTDIR)$(pkglibexec) $(DESTDIR)$(pkgdata) $(DESTDIR)$(examples)
	for u in $(notdir $(units)); do rm -f $(DESTDIR)$(unitdir)/$$u; done
	rm -f $(DESTDIR)$(datadir)/dbus-1/system.d/org.qemuwebdesktop.Launcher1.conf
	rm -f $(DESTDIR)$(datadir)/dbus-1/system-services/org.qemuwebdesktop.Launcher1.service
	rm -f $(DESTDIR)$(datadir)/dbus-1/interfaces/org.qemuwebdesktop.Launcher1.xml
	rm -f $(DESTDIR)$(tmpfilesdir)/qemu-web-desktop.conf
	rm -f $(DESTDIR)$(sysconfdir)/apache2/conf-available/qemu-web-desktop.conf
	rm -f $(DESTDIR)$(sysconfdir)/fail2ban/filter.d/qemu-web-desktop.conf $(DESTDIR)$(sysconfdir)/fail2ban/jail.d/qemu-web-desktop.conf
	rm -f $(DESTDIR)$(sysconfdir)/pam.d/qemu-web-desktop
	for m in $(manpages); do rm -f $(DESTDIR)$(mandir)/man$${m##*.}/$${m##*/}; done

# The package; its path is the last line.
deb:
	tests/package/build-deb

lint:
	tests/lint.sh

deps:
	tests/bed/deps.sh

demo: deps
	tests/demo.sh

check: deps
	tests/check.sh

check-vm: deps
	tests/check-vm.sh

# Side by side with bare QEMU; see tests/bench/README.md.
bench: deps
	tests/bench/bench

bench-quick: deps
	tests/bench/bench --quick

# Sessions come and go for an hour, or SECONDS=600; nothing may be left, nothing may grow.
soak: deps
	tests/bench/soak $(SECONDS)

# Everything that the service is made of is killed at random for an hour, or SECONDS=600; SEED= has a run again.
chaos: deps
	tests/bench/chaos $(or $(SECONDS),3600) $(SEED)

# What takes too long for each change: both of the above, two hours in all.
check-long: chaos soak

.PHONY: all install uninstall deb lint deps demo check check-vm check-long bench bench-quick soak chaos
